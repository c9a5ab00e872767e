#include "cpu/radius_graph.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>

#include "cpu/pair_sort.hpp"
#include "cpu/pair_test.hpp"
#include "cpu/tile_schedule.hpp"

namespace pyredund::cpu {
namespace {

// The same bar for all rows: no pair whose approximate score lies below it reaches the threshold.
std::vector<std::atomic<float>> bars_at(double threshold, std::int64_t rows, std::int64_t stride) {
  std::vector<std::atomic<float>> bars(static_cast<std::size_t>(rows));
  const double lowered = threshold - scan_margin(stride);
  const float bar = std::nextafter(static_cast<float>(lowered), -std::numeric_limits<float>::infinity());
  for (std::atomic<float>& own : bars) own.store(bar, std::memory_order_relaxed);
  return bars;
}

constexpr std::int64_t kOften = 1 << 20;  // pairs of one thread that wait at most

// Pairs of all threads, and whether there are too many.
class Collected {
 public:
  Collected(SimilarPairs& pairs, std::int64_t most) : pairs_(pairs), most_(most) {}

  bool is_full() const { return full_.load(std::memory_order_relaxed); }

  void add(const std::vector<Survivor>& found) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (static_cast<std::int64_t>(pairs_.rows.size() + found.size()) > most_) {
      pairs_.complete = false;
      full_.store(true, std::memory_order_relaxed);
      return;
    }
    for (const Survivor& pair : found) {
      pairs_.rows.push_back(pair.row);
      pairs_.columns.push_back(pair.column);
      pairs_.similarities.push_back(pair.approximate);
    }
  }

 private:
  SimilarPairs& pairs_;
  std::int64_t most_;
  std::mutex mutex_;
  std::atomic<bool> full_{false};
};

bool takes(const PairFilter& filter, const Survivor& pair) {
  return static_cast<double>(pair.approximate) >= filter.sure || filter.accepts(pair.row, pair.column);
}

}  // namespace

SimilarPairs similar_pairs(const SearchPlan& plan, MatrixView rows, const Sketch& sketch, double threshold,
                           std::int64_t most, Watch& watch, const Crowding* crowding, const PairFilter* filter) {
  SimilarPairs pairs;
  if (rows.rows == 0) return pairs;
  const Kernels& kernels = *plan.kernels;
  const bool coarse = sketch.dim > 0 && kernels.bytes.scan_panel != nullptr;
  std::optional<Cells> cells;
  if (coarse && sketch.cells != nullptr) cells.emplace(sketch, kernels.panel_width);
  const std::int64_t block = coarse ? sketch.block : block_size(plan, rows.rows, rows.stride);
  const std::int64_t n_tiles = triangle_size(blocks_of(rows.rows, block));
  std::vector<std::atomic<float>> bars = bars_at(threshold, rows.rows, rows.stride);
  std::vector<std::atomic<std::int32_t>> n_pairs(static_cast<std::size_t>(crowding != nullptr ? rows.rows : 0));
  const auto is_crowded = [&](std::int32_t place) {
    return n_pairs[place].load(std::memory_order_relaxed) >= crowding->most;
  };
  const auto add_pair_of = [&](std::int32_t place) {
    if (++n_pairs[place] != crowding->most) return;
    bars[place].store(std::numeric_limits<float>::infinity(), std::memory_order_relaxed);
    crowding->crowded[sketch.row_at(place)] = 1;
  };
  std::optional<CentreProducts> products;
  if (coarse) products.emplace(kernels, rows, sketch, plan.spare_bytes / 4, plan.n_threads, watch);
  Collected collected(pairs, most);
  watch.total += n_tiles;
  const auto thread_body = [&](const auto& each) {
    const ScanRows form = coarse ? ScanRows{sketch.bytes, sketch.dim} : scan_rows(rows);
    TileScan scan(kernels, coarse ? kernels.bytes : kernels.floats, form, form, coarse ? sketch.dim : rows.dim);
    std::optional<ByteBounds> bytes;
    std::optional<NearRows> near;
    if (coarse) bytes.emplace(kernels, rows, sketch, *products);
    if (cells) near.emplace(kernels, *cells, bars.data());
    PairTest test(kernels, rows, sketch, coarse, bars.data());
    std::vector<Survivor> found;
    each([&](const Tile& tile) {
      if (collected.is_full()) return;
      found.clear();
      const auto of_one_group = [&](const Survivor& pair) {
        return filter->groups[sketch.row_at(pair.row)] == filter->groups[sketch.row_at(pair.column)];
      };
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        if (filter != nullptr && filter->groups != nullptr) {
          count = std::remove_if(survivors, survivors + count, of_one_group) - survivors;
        }
        const std::int64_t kept = test.keep(survivors, count);
        for (std::int64_t s = 0; s < kept; ++s) {
          if (!(static_cast<double>(survivors[s].approximate) >= threshold)) continue;
          if (filter != nullptr && !takes(*filter, survivors[s])) continue;
          if (crowding != nullptr) {
            if (is_crowded(survivors[s].row) && is_crowded(survivors[s].column)) continue;
            add_pair_of(survivors[s].row);
            add_pair_of(survivors[s].column);
          }
          const std::int32_t a = sketch.row_at(survivors[s].row), b = sketch.row_at(survivors[s].column);
          found.push_back({std::min(a, b), std::max(a, b), survivors[s].approximate});
        }
        if (static_cast<std::int64_t>(found.size()) < kOften) return kept;
        collected.add(found);
        found.clear();
        return kept;
      };
      scan.scan(tile, bars.data(), bars.data(), bytes ? &*bytes : nullptr, near ? &*near : nullptr, resolve, watch);
      collected.add(found);
    });
  };
  const auto tile_at = [&](std::int64_t t) { return triangle_tile(t, rows.rows, block); };
  for_each_tile(plan.n_threads, n_tiles, watch, tile_at, thread_body);
  return pairs;
}

SimilarPairs similar_pairs(const SearchPlan& plan, MatrixView queries, MatrixView reference, double threshold,
                           std::int64_t most, Watch& watch, const PairFilter* filter) {
  SimilarPairs pairs;
  if (queries.rows == 0 || reference.rows == 0) return pairs;
  const std::int64_t block = block_size(plan, queries.rows, queries.stride);
  const std::int64_t n_tiles = blocks_of(queries.rows, block);
  std::vector<std::atomic<float>> bars = bars_at(threshold, queries.rows, queries.stride);
  for (std::int64_t row = 0; row < queries.rows; ++row) {
    // A zero row scores 0 with every row, but is similar, by 1, to a zero row.
    const float* const x = queries.row(row);
    if (plan.kernels->score(x, x, queries.stride) == 0.0) bars[row] = -std::numeric_limits<float>::infinity();
  }
  Collected collected(pairs, most);
  watch.total += n_tiles;
  const auto thread_body = [&](const auto& each) {
    TileScan scan(*plan.kernels, plan.kernels->floats, scan_rows(queries), scan_rows(reference), queries.dim);
    std::vector<Survivor> found;
    each([&](const Tile& tile) {
      if (collected.is_full()) return;
      found.clear();
      const auto resolve = [&](Survivor* survivors, std::int64_t count) {
        for (std::int64_t s = 0; s < count; ++s) {
          const Survivor& pair = survivors[s];
          if (filter != nullptr && filter->groups != nullptr &&
              filter->groups[pair.row] == filter->reference_groups[pair.column]) {
            continue;
          }
          const float exact =
              similarity(*plan.kernels, queries.row(pair.row), reference.row(pair.column), queries.stride);
          const Survivor scored{pair.row, pair.column, exact};
          if (static_cast<double>(exact) < threshold || (filter != nullptr && !takes(*filter, scored))) continue;
          found.push_back(scored);
        }
        if (static_cast<std::int64_t>(found.size()) < kOften) return count;
        collected.add(found);
        found.clear();
        return count;
      };
      scan.scan(tile, bars.data(), nullptr, nullptr, nullptr, resolve, watch);
      collected.add(found);
    });
  };
  const auto tile_at = [&](std::int64_t t) {
    return Tile{t * block, std::min(queries.rows, (t + 1) * block), 0, reference.rows, false};
  };
  for_each_tile(plan.n_threads, n_tiles, watch, tile_at, thread_body);
  return pairs;
}

void lists_of_pairs(const std::int32_t* rows, const std::int32_t* columns, const float* similarities,
                    std::int64_t n_pairs, bool symmetric, std::int64_t n_rows, std::int64_t* indptr,
                    std::int32_t* indices, float* out, Watch& watch) {
  std::fill_n(indptr, n_rows + 1, 0);
  for (std::int64_t p = 0; p < n_pairs; ++p) {
    ++indptr[rows[p] + 1];
    if (symmetric) ++indptr[columns[p] + 1];
  }
  for (std::int64_t row = 0; row < n_rows; ++row) indptr[row + 1] += indptr[row];
  std::vector<std::int64_t> next(indptr, indptr + n_rows);
  const auto put = [&](std::int32_t row, std::int32_t column, float score) {
    indices[next[row]] = column;
    out[next[row]++] = score;
  };
  for (std::int64_t p = 0; p < n_pairs; ++p) {
    if (p % 65536 == 0) check(watch);
    put(rows[p], columns[p], similarities[p]);
    if (symmetric) put(columns[p], rows[p], similarities[p]);
  }
  std::vector<std::uint64_t> pairs;
  for (std::int64_t row = 0; row < n_rows; ++row) {
    if (row % 256 == 0) check(watch);
    pairs.clear();
    for (std::int64_t e = indptr[row]; e < indptr[row + 1]; ++e) pairs.push_back(pack_pair(indices[e], out[e]));
    std::sort(pairs.begin(), pairs.end(), std::greater<>());
    for (std::size_t e = 0; e < pairs.size(); ++e) {
      indices[indptr[row] + static_cast<std::int64_t>(e)] = pair_id(pairs[e]);
      out[indptr[row] + static_cast<std::int64_t>(e)] = pair_score(pairs[e]);
    }
  }
}

}  // namespace pyredund::cpu
