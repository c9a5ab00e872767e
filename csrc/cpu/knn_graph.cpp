#include "cpu/knn_graph.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cpu/cells.hpp"
#include "cpu/locality_order.hpp"
#include "cpu/near_cells.hpp"
#include "cpu/neighbor_lists.hpp"
#include "cpu/pair_test.hpp"
#include "cpu/tile_scan.hpp"
#include "cpu/tile_schedule.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kAhead = 8;  // pairs whose lists are fetched early

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
               std::int32_t* ids, float* similarities, SearchCounts& counts, Watch& watch) {
  if (rows.rows == 0 || k == 0) return;
  const Kernels& kernels = *plan.kernels;
  const bool coarse = sketch.dim > 0 && kernels.bytes.scan_panel != nullptr;
  std::optional<Cells> cells;
  if (coarse && sketch.cells != nullptr) cells.emplace(sketch, kernels.panel_width);
  const std::int64_t block = coarse ? sketch.block : block_size(plan, rows.rows, rows.stride);
  const NearTiles tiles = cells ? near_tiles_first(*cells, rows.rows, block) : NearTiles{};
  const std::int64_t n_tiles = triangle_size(blocks_of(rows.rows, block));
  std::vector<float> floor_at;
  if (floors != nullptr) {
    if (sketch.order != nullptr) throw std::logic_error("guessed floors need rows in their own order");
    for (std::int64_t place = 0; place < rows.rows; ++place) floor_at.push_back(floors[place]);
  } else if (cells) {
    floor_at = floors_from_near_cells(kernels, rows, *cells, k, plan.n_threads, watch);
  }
  std::optional<CentreProducts> products;
  if (coarse) products.emplace(kernels, rows, sketch, plan.spare_bytes / 4, plan.n_threads, watch);
  NeighborLists lists(rows.rows, k, scan_margin(rows.stride), ids, similarities,
                      floor_at.empty() ? nullptr : floor_at.data(),
                      plan.spare_bytes - (products ? products->bytes() : 0));
  std::vector<std::mutex> locks(static_cast<std::size_t>(blocks_of(rows.rows, block)));
  watch.total += n_tiles;
  counts.pairs += rows.rows * (rows.rows - 1) / 2;

  const auto new_scan = [&] {
    if (!coarse) return TileScan(kernels, kernels.floats, scan_rows(rows), scan_rows(rows), rows.dim);
    const ScanRows bytes{sketch.bytes, sketch.dim};
    return TileScan(kernels, kernels.bytes, bytes, bytes, sketch.dim);
  };
  const auto thread_body = [&](const auto& each) {
    TileScan scan = new_scan();
    std::optional<ByteBounds> bytes;
    std::optional<NearRows> near;
    if (coarse) bytes.emplace(kernels, rows, sketch, *products);
    if (cells) near.emplace(kernels, *cells, lists.bars());
    PairTest test(kernels, rows, sketch, coarse, lists.bars());
    each([&](const Tile& tile) {
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        const std::int64_t kept = test.keep(survivors, count);
        // Bars lie closer together than lists, of which most would only refuse.
        const auto offer = [&](std::int32_t row, std::int32_t other, float similarity) {
          if (similarity >= lists.bar(row)) lists.offer(row, sketch.row_at(other), similarity);
        };
        {
          const std::lock_guard<std::mutex> lock(locks[tile.row_begin / block]);
          for (std::int64_t s = 0; s < kept; ++s) {
            if (s + kAhead < kept) lists.fetch(survivors[s + kAhead].row);
            offer(survivors[s].row, survivors[s].column, survivors[s].approximate);
          }
        }
        const std::lock_guard<std::mutex> lock(locks[tile.column_begin / block]);
        for (std::int64_t s = 0; s < kept; ++s) {
          if (s + kAhead < kept) lists.fetch(survivors[s + kAhead].column);
          offer(survivors[s].column, survivors[s].row, survivors[s].approximate);
        }
        return kept;
      };
      scan.scan(tile, lists.bars(), lists.bars(), bytes ? &*bytes : nullptr, near ? &*near : nullptr, resolve, watch);
    });
    const std::lock_guard<std::mutex> lock(locks[0]);
    counts.near += scan.n_pairs;
    counts.tiles += scan.n_tiles;
    counts.tiles_apart += scan.n_apart;
    counts.panels += scan.n_panels;
    counts.empty_panels += scan.n_empty;
    test.add_to(counts);
  };
  const auto tile_at = [&](std::int64_t t) { return tiles.empty() ? triangle_tile(t, rows.rows, block) : tiles[t]; };
  for_each_tile(plan.n_threads, n_tiles, watch, tile_at, thread_body);
  const std::int64_t n_blocks = blocks_of(rows.rows, block);
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::min<std::int64_t>(n_blocks, plan.n_threads)), [&](int) {
    for (std::int64_t b = next++; b < n_blocks; b = next++) {
      for (std::int64_t row = b * block; row < std::min(rows.rows, (b + 1) * block); ++row) lists.finish(row);
    }
  });
  std::vector<std::int32_t> short_lists;
  for (std::int64_t place = 0; !floor_at.empty() && place < rows.rows; ++place) {
    if (!lists.is_complete(place))
      short_lists.push_back(static_cast<std::int32_t>(place));  // of a guess, hence not reordered
  }
  search_again(plan, rows, short_lists, k, ids, similarities, watch);
  if (sketch.order == nullptr) return;
  arrange_lists(ids, similarities, rows.rows, k, sketch.order, plan.n_threads);
}

void knn_query(const SearchPlan& plan, MatrixView queries, MatrixView reference, std::int64_t k, std::int32_t* ids,
               float* similarities, Watch& watch, const std::int32_t* excluded) {
  if (queries.rows == 0 || k == 0) return;
  const std::int64_t block = block_size(plan, queries.rows, queries.stride);
  const std::int64_t n_tiles = blocks_of(queries.rows, block);
  NeighborLists lists(queries.rows, k, scan_margin(queries.dim), ids, similarities, nullptr, plan.spare_bytes);
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
        return count;
      };
      scan.scan(tile, lists.bars(), nullptr, nullptr, nullptr, resolve, watch);
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
