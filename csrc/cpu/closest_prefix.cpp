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
  void clear() { changes_.clear(); }
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

// What one thread found: the changes of some rows, one row's behind the other's.
struct Found {
  std::vector<std::int32_t> rows;
  std::vector<std::int64_t> counts;
  std::vector<Change> changes;
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

// The numbers of all values, those of low values first, of equal ones in their order; values are at most `largest`.
std::vector<std::int32_t> sorted_by(const std::vector<std::int32_t>& values, std::int64_t largest) {
  std::vector<std::int64_t> next(static_cast<std::size_t>(largest) + 2, 0);
  for (const std::int32_t value : values) ++next[value + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  std::vector<std::int32_t> order(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) order[next[values[i]]++] = static_cast<std::int32_t>(i);
  return order;
}

// What all threads found, row after row.
PrefixLog joined(const std::vector<Found>& found, std::int64_t rows) {
  PrefixLog log;
  log.indptr.assign(static_cast<std::size_t>(rows) + 1, 0);
  for (const Found& part : found) {
    for (std::size_t r = 0; r < part.rows.size(); ++r) log.indptr[part.rows[r] + 1] = part.counts[r];
  }
  std::partial_sum(log.indptr.begin(), log.indptr.end(), log.indptr.begin());
  log.places.resize(static_cast<std::size_t>(log.indptr[rows]));
  log.similarities.resize(log.places.size());
  for (const Found& part : found) {
    const Change* change = part.changes.data();
    for (const std::int32_t row : part.rows) {
      for (std::int64_t at = log.indptr[row]; at < log.indptr[row + 1]; ++at, ++change) {
        log.places[at] = change->place;
        log.similarities[at] = change->similarity;
      }
    }
  }
  return log;
}

}  // namespace

PrefixLog closest_prefix(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, const PickOrder& order,
                         Watch& watch) {
  std::vector<std::int32_t> place_of(static_cast<std::size_t>(rows.rows), -1);
  for (std::int64_t p = 0; p < order.count; ++p) place_of[order.picks[p]] = static_cast<std::int32_t>(p);

  // Every row searches the picks before the first one that it lists. Rows are taken in the order of that place, so that
  // the rows of a tile search about equally far.
  std::vector<std::int32_t> until(static_cast<std::size_t>(rows.rows));
  run_parts(rows.rows, plan.n_threads, [&](int, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      until[i] =
          std::min(first_listed(graph, place_of, static_cast<std::int32_t>(i)), static_cast<std::int32_t>(order.count));
    }
  });
  const std::vector<std::int32_t> by_until = sorted_by(until, order.count);
  const std::int64_t n_columns = rows.rows > 0 ? until[by_until.back()] : 0;
  const std::vector<float> pick_data = gathered(rows, order.picks, n_columns);
  const MatrixView picks{pick_data.data(), n_columns, rows.dim, rows.stride};

  const std::int64_t block = plan.block > 0 ? plan.block : 192;
  const std::int64_t n_tiles = (rows.rows + block - 1) / block;
  std::atomic<std::int64_t> next{0};
  watch.total += n_tiles;
  const double margin = scan_margin(rows.dim);
  const auto n_threads = static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, plan.n_threads));
  std::vector<Found> found(static_cast<std::size_t>(n_threads));
  run_team(n_threads, [&](int thread) {
    std::vector<Closest> closest(static_cast<std::size_t>(block));
    std::vector<std::atomic<float>> bars(static_cast<std::size_t>(block));
    std::vector<Change> listed;
    for (std::int64_t t = next++; t < n_tiles; t = next++) {
      const std::int64_t begin = t * block, count = std::min(rows.rows - begin, block);
      const std::int32_t* const which = by_until.data() + begin;
      const std::vector<float> row_data = gathered(rows, which, count);
      for (std::int64_t r = 0; r < count; ++r) {
        closest[r].clear();
        bars[r].store(-std::numeric_limits<float>::infinity(), std::memory_order_relaxed);
      }
      // Survivors of a row come in the order of their columns, panel after panel.
      const auto resolve = [&](Survivor* survivors, std::int64_t n_survivors) {
        for (std::int64_t s = 0; s < n_survivors; ++s) {
          const Survivor& pair = survivors[s];
          std::atomic<float>& bar = bars[pair.row];
          if (pair.column >= until[which[pair.row]] || pair.approximate < bar.load(std::memory_order_relaxed)) continue;
          const float* const row = rows.row(which[pair.row]);
          const float exact = similarity(*plan.kernels, row, picks.row(pair.column), rows.stride);
          Closest& mine = closest[pair.row];
          mine.offer(order, pair.column, exact);
          bar.store(static_cast<float>(mine.similarity() - 2 * margin), std::memory_order_relaxed);
        }
        return n_survivors;
      };
      const MatrixView tile_rows{row_data.data(), count, rows.dim, rows.stride};
      TileScan scan(*plan.kernels, plan.kernels->floats, scan_rows(tile_rows), scan_rows(picks), rows.dim);
      scan.scan({0, count, 0, until[which[count - 1]], false}, bars.data(), nullptr, nullptr, nullptr, resolve, watch);
      for (std::int64_t r = 0; r < count; ++r) {
        listed_picks(graph, place_of, which[r], listed);
        for (const Change& pick : listed) closest[r].offer(order, pick.place, pick.similarity);
        Found& mine = found[thread];
        mine.rows.push_back(which[r]);
        mine.counts.push_back(static_cast<std::int64_t>(closest[r].changes().size()));
        mine.changes.insert(mine.changes.end(), closest[r].changes().begin(), closest[r].changes().end());
      }
      ++watch.done;
    }
  });
  return joined(found, rows.rows);
}

}  // namespace pyredund::cpu
