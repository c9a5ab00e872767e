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
      : graph_(graph), weights_(weights), covered_(static_cast<std::size_t>(graph.n_rows), 0), watch_(watch) {
    transpose();
  }

  InsertionLog run(const std::vector<std::int32_t>& forced, std::int64_t n_pick) {
    InsertionLog log;
    watch_.total = n_pick;
    std::vector<char> is_picked(covered_.size(), 0);
    const auto pick = [&](std::int32_t v, std::int64_t gain) {
      is_picked[v] = 1;
      log.picked.push_back(v);
      log.gains.push_back(gain);
      for_each_served(v, [&](std::int32_t u, std::int64_t units) { covered_[u] = std::max(covered_[u], units); });
      ++watch_.done;
    };
    for (const std::int32_t v : forced) pick(v, gain_of(v));
    std::vector<Candidate> heap;
    heap.reserve(covered_.size());
    for (std::int32_t v = 0; v < graph_.n_rows; ++v) {
      if (v % 4096 == 0) check(watch_);
      if (!is_picked[v]) heap.push_back({gain_of(v), v});
    }
    std::make_heap(heap.begin(), heap.end(), picked_later);
    while (static_cast<std::int64_t>(log.picked.size()) < n_pick && !heap.empty() && heap.front().gain > 0) {
      check(watch_);
      std::pop_heap(heap.begin(), heap.end(), picked_later);
      Candidate& best = heap.back();
      const std::int64_t gain = gain_of(best.row);
      if (gain < best.gain) {
        best.gain = gain;
        std::push_heap(heap.begin(), heap.end(), picked_later);
        continue;
      }
      pick(best.row, gain);
      heap.pop_back();
    }
    return log;
  }

 private:
  bool lists(std::int32_t v, std::int32_t u) const {
    const std::int32_t* const end = graph_.indices + graph_.indptr[v + 1];
    return std::find(graph_.indices + graph_.indptr[v], end, u) != end;
  }

  // The edges u -> v that have no edge v -> u, by v: what row v serves besides itself and its own list.
  void transpose() {
    indptr_.assign(static_cast<std::size_t>(graph_.n_rows + 1), 0);
    const auto for_each_one_way = [&](const auto& visit) {
      for (std::int32_t u = 0; u < graph_.n_rows; ++u) {
        if (u % 4096 == 0) check(watch_);
        for (std::int64_t e = graph_.indptr[u]; e < graph_.indptr[u + 1]; ++e) {
          const std::int32_t v = graph_.indices[e];
          if (!lists(v, u)) visit(u, v, e);
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

  template <typename Visit>
  void for_each_served(std::int32_t v, const Visit& visit) const {
    visit(v, kOneInUnits);
    for (std::int64_t e = graph_.indptr[v]; e < graph_.indptr[v + 1]; ++e) {
      visit(graph_.indices[e], in_units(graph_.similarities[e]));
    }
    for (std::int64_t e = indptr_[v]; e < indptr_[v + 1]; ++e) visit(rows_[e], in_units(edges_[e]));
  }

  std::int64_t gain_of(std::int32_t v) const {
    std::int64_t gain = 0;
    for_each_served(v, [&](std::int32_t u, std::int64_t units) {
      gain += weights_[u] * std::max<std::int64_t>(0, units - covered_[u]);
    });
    return gain;
  }

  const NeighborGraph& graph_;
  const std::int64_t* weights_;
  std::vector<std::int64_t> covered_;  // similarity to the closest picked row, never negative
  std::vector<std::int64_t> indptr_;
  std::vector<std::int32_t> rows_;
  std::vector<float> edges_;
  Watch& watch_;
};

}  // namespace

InsertionLog insertion(const NeighborGraph& graph, const std::int64_t* weights, const std::vector<std::int32_t>& forced,
                       std::int64_t n_pick, Watch& watch) {
  return Insertion(graph, weights, watch).run(forced, n_pick);
}

}  // namespace pyredund::cpu
