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
#include "cpu/near_cells.hpp"
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

// The tiles of the upper triangle, near ones first, so that bars are high before the bulk of the work: the diagonal,
// then by the distance between the means of the blocks.
std::vector<Tile> near_tiles_first(const Cells& cells, std::int64_t rows, std::int64_t block) {
  const std::int64_t n_blocks = blocks_of(rows, block), cells_of_block = block / cells.panel_width;
  std::vector<double> means(static_cast<std::size_t>(n_blocks * cells.stride), 0.0);
  for (std::int64_t cell = 0; cell < cells.count(); ++cell) {
    const std::int64_t own = cell / cells_of_block;
    const std::int64_t size = std::min(cells.count(), (own + 1) * cells_of_block) - own * cells_of_block;
    for (std::int64_t c = 0; c < cells.stride; ++c) {
      means[own * cells.stride + c] += static_cast<double>(cells.centres[cell * cells.stride + c]) / size;
    }
  }
  std::vector<std::pair<float, Tile>> tiles;
  tiles.reserve(static_cast<std::size_t>(triangle_size(n_blocks)));
  for (std::int64_t a = 0; a < n_blocks; ++a) {
    for (std::int64_t b = a; b < n_blocks; ++b) {
      double distance = a == b ? -1.0 : 0.0;
      for (std::int64_t c = 0; c < cells.stride; ++c) {
        const double difference = means[a * cells.stride + c] - means[b * cells.stride + c];
        distance += difference * difference;
      }
      tiles.push_back(
          {static_cast<float>(distance),
           {a * block, std::min(rows, (a + 1) * block), b * block, std::min(rows, (b + 1) * block), a == b}});
    }
  }
  std::stable_sort(tiles.begin(), tiles.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<Tile> sorted;
  sorted.reserve(tiles.size());
  for (const auto& [distance, tile] : tiles) sorted.push_back(tile);
  return sorted;
}

// Moves list p of every place p to row order[p], along the cycles of the permutation.
void put_in_order(const std::int32_t* order, std::int64_t rows, std::int64_t k, std::int32_t* ids, float* scores) {
  std::vector<bool> done(static_cast<std::size_t>(rows), false);
  std::vector<std::int32_t> held_ids(static_cast<std::size_t>(k));
  std::vector<float> held_scores(static_cast<std::size_t>(k));
  for (std::int64_t start = 0; start < rows; ++start) {
    if (done[start]) continue;
    std::copy_n(ids + start * k, k, held_ids.begin());
    std::copy_n(scores + start * k, k, held_scores.begin());
    for (std::int64_t at = order[start];; at = order[at]) {
      std::swap_ranges(held_ids.begin(), held_ids.end(), ids + at * k);
      std::swap_ranges(held_scores.begin(), held_scores.end(), scores + at * k);
      done[at] = true;
      if (at == start) break;
    }
  }
}

// Whether pairs that the scan could not rule out enter a list, by bounds that are ever longer, and their similarities.
class PairTest {
 public:
  PairTest(const Kernels& kernels, MatrixView rows, const Sketch& sketch, bool coarse, const NeighborLists& lists)
      : kernels_(kernels), rows_(rows), sketch_(sketch), coarse_(coarse), lists_(lists) {}

  // Keeps those survivors whose similarity may enter a list, with that similarity in `approximate`; returns their
  // count.
  std::int64_t keep(Survivor* survivors, std::int64_t count) {
    std::int64_t kept = 0;
    survived_scan_ += count;
    if (coarse_ && sketch_.bounds != nullptr) {
      for (std::int64_t s = 0; s < count; ++s) {
        if (s + kAhead < count) {
          __builtin_prefetch(sketch_.bounds + survivors[s + kAhead].row * sketch_.bounds_stride);
          __builtin_prefetch(sketch_.bounds + survivors[s + kAhead].column * sketch_.bounds_stride);
        }
        if (!is_out_by_bounds(survivors[s])) survivors[kept++] = survivors[s];
      }
      count = kept;
      kept = 0;
    }
    survived_bounds_ += count;
    for (std::int64_t s = 0; s < count; ++s) {
      if (coarse_ && s + kAhead < count) {
        __builtin_prefetch(rows_.row(survivors[s + kAhead].row));
        __builtin_prefetch(rows_.row(survivors[s + kAhead].column));
      }
      const Survivor pair = survivors[s];
      const float* x = rows_.row(pair.row);
      const float* y = rows_.row(pair.column);
      if (is_out(pair, coarse_ ? kernels_.approximate(x, y, rows_.stride) : pair.approximate)) continue;
      survivors[kept++] = {pair.row, pair.column, similarity(kernels_, x, y, rows_.stride)};
    }
    scored_ += kept;
    return kept;
  }

  void add_to(SearchCounts& counts) const {
    counts.survived_scan += survived_scan_;
    counts.survived_bounds += survived_bounds_;
    counts.scored += scored_;
  }

 private:
  static constexpr std::int64_t kAhead = 6;  // pairs whose rows are fetched early

  // Whether the pair cannot enter either list, by an upper bound of its approximate score.
  bool is_out(const Survivor& pair, float bound) const {
    return bound < lists_.bar(pair.row) && bound < lists_.bar(pair.column);
  }

  bool is_out_by_bounds(const Survivor& pair) const {
    const float* x = sketch_.bounds + pair.row * sketch_.bounds_stride;
    const float* y = sketch_.bounds + pair.column * sketch_.bounds_stride;
    std::int64_t from = sketch_.z_stride, norm = sketch_.lengths.back();
    double sum = sketch_.bounds_slack + kernels_.approximate(x, y, from);
    if (is_out(pair, static_cast<float>(sum))) return true;
    sum -= static_cast<double>(x[sketch_.z_dim - 1]) * y[sketch_.z_dim - 1];
    for (std::size_t l = 1; l < sketch_.lengths.size(); ++l, ++norm) {
      sum += kernels_.approximate(x + from, y + from, sketch_.lengths[l] - from);
      if (is_out(pair, static_cast<float>(sum + static_cast<double>(x[norm]) * y[norm]))) return true;
      from = sketch_.lengths[l];
    }
    return false;
  }

  const Kernels& kernels_;
  MatrixView rows_;
  const Sketch& sketch_;
  bool coarse_;
  const NeighborLists& lists_;
  std::int64_t survived_scan_ = 0, survived_bounds_ = 0, scored_ = 0;
};

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
  const std::vector<Tile> tiles = cells ? near_tiles_first(*cells, rows.rows, block) : std::vector<Tile>{};
  const std::int64_t n_tiles = triangle_size(blocks_of(rows.rows, block));
  std::vector<float> floor_at;
  if (floors != nullptr) {
    if (sketch.order != nullptr) throw std::logic_error("guessed floors need rows in their own order");
    for (std::int64_t place = 0; place < rows.rows; ++place) floor_at.push_back(floors[place]);
  } else if (cells) {
    floor_at = floors_from_near_cells(kernels, rows, *cells, k, plan.n_threads, watch);
  }
  NeighborLists lists(rows.rows, k, scan_margin(rows.stride), ids, similarities,
                      floor_at.empty() ? nullptr : floor_at.data());
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
    if (coarse) bytes.emplace(kernels, rows, sketch);
    if (cells) near.emplace(kernels, *cells, lists, true);
    PairTest test(kernels, rows, sketch, coarse, lists);
    each([&](const Tile& tile) {
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        const std::int64_t kept = test.keep(survivors, count);
        {
          const std::lock_guard<std::mutex> lock(locks[tile.row_begin / block]);
          for (std::int64_t s = 0; s < kept; ++s) {
            lists.offer(survivors[s].row, sketch.row_at(survivors[s].column), survivors[s].approximate);
          }
        }
        const std::lock_guard<std::mutex> lock(locks[tile.column_begin / block]);
        for (std::int64_t s = 0; s < kept; ++s) {
          lists.offer(survivors[s].column, sketch.row_at(survivors[s].row), survivors[s].approximate);
        }
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
  const auto tile_at = [&](std::int64_t t) { return cells ? tiles[t] : triangle_tile(t, rows.rows, block); };
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
  if (sketch.order != nullptr) put_in_order(sketch.order, rows.rows, k, ids, similarities);
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
