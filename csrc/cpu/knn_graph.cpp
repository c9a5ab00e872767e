#include "cpu/knn_graph.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "cpu/neighbor_lists.hpp"
#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

// A tile's rows should stay in the second-level cache while panels of columns pass by, and there should be
// several tiles for every thread.
std::int64_t block_size(const SearchPlan& plan, std::int64_t rows, std::int64_t stride) {
  if (plan.block > 0) return plan.block;
  const std::int64_t cached = (std::int64_t{256} << 10) / (stride * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t balanced = rows / (8 * static_cast<std::int64_t>(plan.n_threads));
  return std::max<std::int64_t>(96, std::min({cached, balanced, std::int64_t{1024}}) / 48 * 48);
}

std::int64_t blocks_of(std::int64_t rows, std::int64_t block) { return (rows + block - 1) / block; }

std::int64_t triangle_size(std::int64_t blocks) { return blocks * (blocks + 1) / 2; }

// Tile t of the upper triangle of the blocks, diagonal first, then one diagonal after the other: every row soon has a
// full list, hence a bar, and tiles that are scanned at the same time touch different rows.
Tile triangle_tile(std::int64_t t, std::int64_t rows, std::int64_t block) {
  const std::int64_t blocks = blocks_of(rows, block);
  // Before the diagonal at distance d from the main one come d * blocks - d (d - 1) / 2 tiles.
  const auto before = [&](std::int64_t d) { return d * blocks - d * (d - 1) / 2; };
  const double side = static_cast<double>(blocks) + 0.5;
  auto distance =
      static_cast<std::int64_t>(side - std::sqrt(std::max(0.0, side * side - 2.0 * static_cast<double>(t))));
  while (before(distance) > t) --distance;
  while (before(distance + 1) <= t) ++distance;
  const std::int64_t row = t - before(distance), column = row + distance;
  return {row * block, std::min(rows, (row + 1) * block), column * block, std::min(rows, (column + 1) * block),
          distance == 0};
}

// Scans the tiles that `tile(index)` gives for index < n_tiles, whoever is free taking the next.
template <typename TileAt, typename Body>
void for_each_tile(int n_threads, std::int64_t n_tiles, Watch& watch, const TileAt& tile_at, const Body& thread_body) {
  std::atomic<std::int64_t> next{0};
  const int team = static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, n_threads));
  run_team(team, [&](int) {
    thread_body([&](const auto& scan) {
      for (std::int64_t t = next++; t < n_tiles; t = next++) {
        scan(tile_at(t));
        ++watch.done;
      }
    });
  });
}

// The lists of a few rows, from scratch.
void search_again(const SearchPlan& plan, MatrixView rows, const std::vector<std::int32_t>& which, std::int64_t k,
                  std::int32_t* ids, float* similarities, Watch& watch) {
  std::vector<float> queries;
  for (const std::int32_t row : which) queries.insert(queries.end(), rows.row(row), rows.row(row) + rows.stride);
  const auto count = static_cast<std::int64_t>(which.size());
  std::vector<std::int32_t> found_ids(static_cast<std::size_t>(count * k));
  std::vector<float> found(found_ids.size());
  const MatrixView view{queries.data(), count, rows.dim, rows.stride};
  knn_query(plan, view, rows, k, found_ids.data(), found.data(), watch, which.data());
  for (std::int64_t i = 0; i < count; ++i) {
    std::copy_n(found_ids.begin() + i * k, k, ids + which[i] * k);
    std::copy_n(found.begin() + i * k, k, similarities + which[i] * k);
  }
}

}  // namespace

void knn_graph(const SearchPlan& plan, MatrixView rows, const Sketch& sketch, const float* floors, std::int64_t k,
               std::int32_t* ids, float* similarities, Watch& watch) {
  if (rows.rows == 0 || k == 0) return;
  const Kernels& kernels = *plan.kernels;
  const bool coarse = sketch.dim > 0 && kernels.bytes.scan_panel != nullptr;
  const bool bounded = coarse && sketch.bounds.data != nullptr;
  const std::int64_t row_floats = coarse ? sketch.dim / static_cast<std::int64_t>(sizeof(float)) : rows.stride;
  const std::int64_t block = block_size(plan, rows.rows, row_floats);
  const std::int64_t n_tiles = triangle_size(blocks_of(rows.rows, block));
  const double margin = scan_margin(rows.stride) + (coarse ? sketch.slack : 0.0);
  NeighborLists::ScanBar byte_bar;
  if (coarse) byte_bar = [&](float bar, std::int64_t row) { return sketch.bar(bar, row); };
  NeighborLists lists(rows.rows, k, margin, ids, similarities, floors, byte_bar);
  std::vector<std::mutex> locks(static_cast<std::size_t>(blocks_of(rows.rows, block)));
  watch.total += n_tiles;

  // Whether the pair cannot enter either list, by an upper bound of its similarity.
  const auto is_out = [&](const Survivor& pair, float bound) {
    return bound < lists.bar(pair.row) && bound < lists.bar(pair.column);
  };
  const auto new_scan = [&] {
    if (!coarse) return TileScan(kernels, kernels.floats, scan_rows(rows), scan_rows(rows), rows.dim);
    const ScanRows byte_rows{sketch.rows, sketch.dim}, byte_columns{sketch.columns, sketch.dim};
    return TileScan(kernels, kernels.bytes, byte_rows, byte_columns, sketch.dim);
  };
  const auto thread_body = [&](const auto& each) {
    TileScan scan = new_scan();
    each([&](const Tile& tile) {
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        std::int64_t kept = 0;
        for (std::int64_t s = 0; s < count; ++s) {
          const Survivor& pair = survivors[s];
          if (bounded) {
            const MatrixView& z = sketch.bounds;
            if (is_out(pair, kernels.approximate(z.row(pair.row), z.row(pair.column), z.stride))) continue;
          }
          const float* x = rows.row(pair.row);
          const float* y = rows.row(pair.column);
          if (is_out(pair, coarse ? kernels.approximate(x, y, rows.stride) : pair.approximate)) continue;
          survivors[kept++] = {pair.row, pair.column, similarity(kernels, x, y, rows.stride)};
        }
        {
          const std::lock_guard<std::mutex> lock(locks[tile.row_begin / block]);
          for (std::int64_t s = 0; s < kept; ++s) {
            lists.offer(survivors[s].row, survivors[s].column, survivors[s].approximate);
          }
        }
        const std::lock_guard<std::mutex> lock(locks[tile.column_begin / block]);
        for (std::int64_t s = 0; s < kept; ++s) {
          lists.offer(survivors[s].column, survivors[s].row, survivors[s].approximate);
        }
      };
      scan.scan(tile, lists.scan_bars(), lists.scan_bars(), resolve, watch);
    });
  };
  const auto tile_at = [&](std::int64_t t) { return triangle_tile(t, rows.rows, block); };
  for_each_tile(plan.n_threads, n_tiles, watch, tile_at, thread_body);
  const std::int64_t n_blocks = blocks_of(rows.rows, block);
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::min<std::int64_t>(n_blocks, plan.n_threads)), [&](int) {
    for (std::int64_t b = next++; b < n_blocks; b = next++) {
      for (std::int64_t row = b * block; row < std::min(rows.rows, (b + 1) * block); ++row) lists.finish(row);
    }
  });
  if (floors == nullptr) return;
  std::vector<std::int32_t> short_rows;
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    if (!lists.is_complete(row)) short_rows.push_back(static_cast<std::int32_t>(row));
  }
  search_again(plan, rows, short_rows, k, ids, similarities, watch);
}

void knn_query(const SearchPlan& plan, MatrixView queries, MatrixView reference, std::int64_t k, std::int32_t* ids,
               float* similarities, Watch& watch, const std::int32_t* excluded) {
  if (queries.rows == 0 || k == 0) return;
  const std::int64_t block = block_size(plan, queries.rows, queries.stride);
  const std::int64_t n_tiles = blocks_of(queries.rows, block);
  NeighborLists lists(queries.rows, k, scan_margin(queries.dim), ids, similarities);
  watch.total += n_tiles;

  const auto thread_body = [&](const auto& each) {
    TileScan scan(*plan.kernels, plan.kernels->floats, scan_rows(queries), scan_rows(reference), queries.dim);
    each([&](const Tile& tile) {
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        for (std::int64_t s = 0; s < count; ++s) {
          const Survivor& pair = survivors[s];
          if (pair.approximate < lists.bar(pair.row)) continue;
          if (excluded != nullptr && excluded[pair.row] == pair.column) continue;
          const float exact =
              similarity(*plan.kernels, queries.row(pair.row), reference.row(pair.column), queries.stride);
          lists.offer(pair.row, pair.column, exact);  // no other thread has these rows
        }
      };
      scan.scan(tile, lists.scan_bars(), nullptr, resolve, watch);
      for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row) {
        lists.finish(row);
        if (!lists.is_complete(row)) throw std::logic_error("fewer rows than neighbours asked for");
      }
    });
  };
  const auto tile_at = [&](std::int64_t t) {
    return Tile{t * block, std::min(queries.rows, (t + 1) * block), 0, reference.rows, false};
  };
  for_each_tile(plan.n_threads, n_tiles, watch, tile_at, thread_body);
}

}  // namespace pyredund::cpu
