#include "cpu/insertion.hpp"

#include <algorithm>

#include "cpu/similarity_units.hpp"

namespace pyredund::cpu {
namespace {

struct Candidate {
  std::int64_t gain;  // never below the true gain: gains only shrink while rows are picked
  std::int32_t row;
};

bool picked_later(const Candidate& a, const Candidate& b) { return a.gain != b.gain ? a.gain < b.gain : a.row > b.row; }

class Insertion {
 public:
  Insertion(const NeighborGraph& graph, const std::int64_t* weights, Watch& watch)
      : graph_(graph),
        weights_(weights),
        covered_(static_cast<std::size_t>(graph.n_rows), 0),
        gain_(static_cast<std::size_t>(graph.n_rows), 0),
        watch_(watch) {
    transpose();
  }

  InsertionLog run(const std::vector<std::int32_t>& forced, std::int64_t n_pick) {
    watch_.total = n_pick;
    for (std::int32_t v = 0; v < graph_.n_rows; ++v) {
      if (v % 4096 == 0) check(watch_);
      for_each_served(v, [&](std::int32_t u, std::int64_t units) {
        gain_[v] += weights_[u] * std::max<std::int64_t>(0, units);
        return true;
      });
    }
    std::vector<char> is_picked(covered_.size(), 0);
    for (const std::int32_t v : forced) {
      is_picked[v] = 1;
      pick(v);
    }
    std::vector<Candidate> heap;
    heap.reserve(covered_.size());
    for (std::int32_t v = 0; v < graph_.n_rows; ++v) {
      if (!is_picked[v]) heap.push_back({gain_[v], v});
    }
    std::make_heap(heap.begin(), heap.end(), picked_later);
    while (static_cast<std::int64_t>(log_.picked.size()) < n_pick && !heap.empty() && heap.front().gain > 0) {
      check(watch_);
      std::pop_heap(heap.begin(), heap.end(), picked_later);
      Candidate& best = heap.back();
      if (gain_[best.row] < best.gain) {
        best.gain = gain_[best.row];
        std::push_heap(heap.begin(), heap.end(), picked_later);
        continue;
      }
      pick(best.row);
      heap.pop_back();
    }
    return std::move(log_);
  }

 private:
  // Covers what v serves, and takes from every row what it can no longer gain there. Integers make that exact.
  void pick(std::int32_t v) {
    log_.picked.push_back(v);
    log_.gains.push_back(gain_[v]);
    for_each_served(v, [&](std::int32_t u, std::int64_t units) {
      const std::int64_t before = covered_[u];
      if (units <= before) return units > 0;  // another row of the list may be covered less
      covered_[u] = units;
      for_each_served(u, [&](std::int32_t w, std::int64_t reach) {
        if (reach <= before) return false;
        gain_[w] -= weights_[u] * (std::min(reach, units) - before);
        return true;
      });
      return true;
    });
    ++watch_.done;
  }

  // Lists are sorted by similarity descending, then row ascending.
  bool lists(std::int32_t v, std::int32_t u, float similarity) const {
    std::int64_t low = graph_.indptr[v], high = graph_.indptr[v + 1];
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      const float there = graph_.similarities[middle];
      if (there > similarity || (there == similarity && graph_.indices[middle] < u)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < graph_.indptr[v + 1] && graph_.indices[low] == u;
  }

  // The edges u -> v that have no edge v -> u, by v: what row v serves besides itself and its own list.
  void transpose() {
    indptr_.assign(static_cast<std::size_t>(graph_.n_rows + 1), 0);
    const auto for_each_one_way = [&](const auto& visit) {
      for (std::int32_t u = 0; u < graph_.n_rows; ++u) {
        if (u % 4096 == 0) check(watch_);
        for (std::int64_t e = graph_.indptr[u]; e < graph_.indptr[u + 1]; ++e) {
          const std::int32_t v = graph_.indices[e];
          if (!lists(v, u, graph_.similarities[e])) visit(u, v, e);
        }
      }
    };
    for_each_one_way([&](std::int32_t, std::int32_t v, std::int64_t) { ++indptr_[v + 1]; });
    for (std::int64_t v = 0; v < graph_.n_rows; ++v) indptr_[v + 1] += indptr_[v];
    rows_.resize(static_cast<std::size_t>(indptr_[graph_.n_rows]));
    edges_.resize(rows_.size());
    std::vector<std::int64_t> next(indptr_.begin(), indptr_.end() - 1);
    for_each_one_way([&](std::int32_t u, std::int32_t v, std::int64_t e) {
      rows_[next[v]] = u;
      edges_[next[v]++] = graph_.similarities[e];
    });
  }

  // Visits v itself, its list, and the rows that list v. A visit that returns false ends the list, what follows being
  // less similar.
  template <typename Visit>
  void for_each_served(std::int32_t v, const Visit& visit) const {
    visit(v, kOneInUnits);
    for (std::int64_t e = graph_.indptr[v]; e < graph_.indptr[v + 1]; ++e) {
      if (!visit(graph_.indices[e], in_units(graph_.similarities[e]))) break;
    }
    for (std::int64_t e = indptr_[v]; e < indptr_[v + 1]; ++e) visit(rows_[e], in_units(edges_[e]));
  }

  const NeighborGraph& graph_;
  const std::int64_t* weights_;
  std::vector<std::int64_t> covered_;  // similarity of each row to the closest picked one, never negative
  std::vector<std::int64_t> gain_;     // what each row would gain now
  std::vector<std::int64_t> indptr_;
  std::vector<std::int32_t> rows_;
  std::vector<float> edges_;
  InsertionLog log_;
  Watch& watch_;
};

}  // namespace

InsertionLog insertion(const NeighborGraph& graph, const std::int64_t* weights, const std::vector<std::int32_t>& forced,
                       std::int64_t n_pick, Watch& watch) {
  return Insertion(graph, weights, watch).run(forced, n_pick);
}

}  // namespace pyredund::cpu
