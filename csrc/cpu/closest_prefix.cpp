#include "cpu/closest_prefix.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

struct Change {
  std::int32_t place;
  float similarity;
};

// The changes of one row, picks being offered in the order of their places.
class Closest {
 public:
  void offer(const PickOrder& order, std::int32_t place, float similarity) {
    const bool closer =
        changes_.empty() || similarity > changes_.back().similarity ||
        (similarity == changes_.back().similarity && order.tie_order[place] < order.tie_order[changes_.back().place]);
    if (!closer) return;
    if (!changes_.empty() && place < order.n_forced) changes_.pop_back();
    changes_.push_back({place, similarity});
  }
  float similarity() const {
    return changes_.empty() ? -std::numeric_limits<float>::infinity() : changes_.back().similarity;
  }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Change> changes_;
};

constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();

// The place of the first pick that row i lists or is.
std::int32_t first_listed(const NeighborGraph& graph, const std::vector<std::int32_t>& place_of, std::int32_t i) {
  std::int32_t first = place_of[i] >= 0 ? place_of[i] : kNever;
  for (std::int64_t e = graph.indptr[i]; e < graph.indptr[i + 1]; ++e) {
    const std::int32_t place = place_of[graph.indices[e]];
    if (place >= 0) first = std::min(first, place);
  }
  return first;
}

// Picks that row i lists or is, by place, without those that came later than a closer one.
void listed_picks(const NeighborGraph& graph, const std::vector<std::int32_t>& place_of, std::int32_t i,
                  std::vector<Change>& listed) {
  listed.clear();
  float level = 1.0f;
  std::int32_t first_here = kNever, first_above = kNever;  // at this level of similarity, and above it
  const auto add = [&](std::int32_t place, float similarity) {
    if (place < 0) return;
    if (similarity < level) {
      first_above = std::min(first_above, first_here);
      first_here = kNever;
      level = similarity;
    }
    first_here = std::min(first_here, place);
    if (place < first_above) listed.push_back({place, similarity});
  };
  add(place_of[i], 1.0f);
  for (std::int64_t e = graph.indptr[i]; e < graph.indptr[i + 1]; ++e) {
    add(place_of[graph.indices[e]], graph.similarities[e]);
  }
  std::sort(listed.begin(), listed.end(), [](const Change& a, const Change& b) { return a.place < b.place; });
}

std::vector<float> gathered(MatrixView rows, const std::int32_t* which, std::int64_t count) {
  std::vector<float> matrix;
  matrix.reserve(static_cast<std::size_t>(count * rows.stride));
  for (std::int64_t i = 0; i < count; ++i) {
    matrix.insert(matrix.end(), rows.row(which[i]), rows.row(which[i]) + rows.stride);
  }
  return matrix;
}

}  // namespace

PrefixLog closest_prefix(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, const PickOrder& order,
                         Watch& watch) {
  std::vector<std::int32_t> place_of(static_cast<std::size_t>(rows.rows), -1);
  for (std::int64_t p = 0; p < order.count; ++p) place_of[order.picks[p]] = static_cast<std::int32_t>(p);

  // Every row searches the picks before the first one that it lists. Rows are taken in the order of that place, so that
  // the rows of a tile search about equally far.
  std::vector<std::int32_t> until(static_cast<std::size_t>(rows.rows)), by_until(until.size());
  for (std::int32_t i = 0; i < rows.rows; ++i) {
    until[i] = std::min(first_listed(graph, place_of, i), static_cast<std::int32_t>(order.count));
  }
  std::iota(by_until.begin(), by_until.end(), 0);
  std::stable_sort(by_until.begin(), by_until.end(),
                   [&](std::int32_t a, std::int32_t b) { return until[a] < until[b]; });
  const std::int64_t n_columns = rows.rows > 0 ? until[by_until.back()] : 0;
  const std::vector<float> pick_data = gathered(rows, order.picks, n_columns);
  const MatrixView picks{pick_data.data(), n_columns, rows.dim, rows.stride};

  std::vector<Closest> closest(static_cast<std::size_t>(rows.rows));
  std::vector<std::atomic<float>> bars(closest.size());
  for (std::atomic<float>& bar : bars) bar.store(-std::numeric_limits<float>::infinity(), std::memory_order_relaxed);
  const std::int64_t block = plan.block > 0 ? plan.block : 192;
  const std::int64_t n_tiles = (rows.rows + block - 1) / block;
  std::atomic<std::int64_t> next{0};
  watch.total += n_tiles;
  const double margin = scan_margin(rows.dim);
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, plan.n_threads)), [&](int) {
    for (std::int64_t t = next++; t < n_tiles; t = next++) {
      const std::int64_t begin = t * block, count = std::min(rows.rows - begin, block);
      const std::int32_t* const which = by_until.data() + begin;
      const std::vector<float> row_data = gathered(rows, which, count);
      const auto resolve = [&](Survivor* survivors, std::int64_t n_survivors) {
        std::sort(survivors, survivors + n_survivors, [](const Survivor& a, const Survivor& b) {
          return a.row != b.row ? a.row < b.row : a.column < b.column;
        });
        for (std::int64_t s = 0; s < n_survivors; ++s) {
          const Survivor& pair = survivors[s];
          std::atomic<float>& bar = bars[begin + pair.row];
          if (pair.column >= until[which[pair.row]] || pair.approximate < bar.load(std::memory_order_relaxed)) continue;
          const float* const row = rows.row(which[pair.row]);
          const float exact = similarity(*plan.kernels, row, picks.row(pair.column), rows.stride);
          Closest& mine = closest[begin + pair.row];
          mine.offer(order, pair.column, exact);
          bar.store(static_cast<float>(mine.similarity() - 2 * margin), std::memory_order_relaxed);
        }
      };
      const MatrixView tile_rows{row_data.data(), count, rows.dim, rows.stride};
      TileScan scan(*plan.kernels, plan.kernels->floats, scan_rows(tile_rows), scan_rows(picks), rows.dim);
      scan.scan({0, count, 0, until[which[count - 1]], false}, bars.data() + begin, nullptr, nullptr, nullptr, resolve,
                watch);
      std::vector<Change> listed;
      for (std::int64_t r = 0; r < count; ++r) {
        listed_picks(graph, place_of, which[r], listed);
        for (const Change& pick : listed) closest[begin + r].offer(order, pick.place, pick.similarity);
      }
      ++watch.done;
    }
  });

  std::vector<std::int32_t> sorted_place(by_until.size());
  for (std::size_t r = 0; r < by_until.size(); ++r) sorted_place[by_until[r]] = static_cast<std::int32_t>(r);
  PrefixLog log;
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    for (const Change& change : closest[sorted_place[i]].changes()) {
      log.places.push_back(change.place);
      log.similarities.push_back(change.similarity);
    }
    log.indptr.push_back(static_cast<std::int64_t>(log.places.size()));
  }
  return log;
}

}  // namespace pyredund::cpu
