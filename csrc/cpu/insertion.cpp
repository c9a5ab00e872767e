#include "cpu/insertion.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "cpu/similarity_units.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

struct Candidate {
  std::int64_t gain;  // never below the true gain: gains only shrink while rows are picked
  std::int32_t row;
};

struct PickedLater {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.gain != b.gain ? a.gain < b.gain : a.row > b.row;
  }
};

// Waiting rows by gain. Gains only shrink, so rows wait in lists of about equal gains, and only those of the highest
// list are put in order: one heap of all rows took as long as what the picks themselves do.
class Waiting {
 public:
  explicit Waiting(const std::vector<std::int64_t>& gain)
      : gain_(gain), first_(list_of(std::numeric_limits<std::int64_t>::max()) + 1, -1), next_(gain.size(), -1) {
    highest_ = static_cast<std::int64_t>(first_.size()) - 1;
  }

  void add(std::int32_t row) {
    if (gain_[row] <= 0) return;
    const std::int64_t list = list_of(gain_[row]);
    next_[row] = first_[list];
    first_[list] = row;
  }

  // Takes out the row with the largest gain, the lowest of equals; -1 if none gains anything.
  std::int32_t take() {
    for (;;) {
      while (heap_.empty()) {
        if (highest_ < 0) return -1;
        std::int32_t row = std::exchange(first_[highest_], -1);
        while (row >= 0) put_in_order(std::exchange(row, next_[row]));
        if (heap_.empty()) --highest_;
      }
      std::pop_heap(heap_.begin(), heap_.end(), PickedLater());
      const Candidate best = heap_.back();
      heap_.pop_back();
      if (gain_[best.row] == best.gain) return best.row;
      put_in_order(best.row);
    }
  }

 private:
  // Similar gains have the same number, larger ones no smaller a number: exponent and first eight bits.
  static std::size_t list_of(std::int64_t gain) {
    const double value = static_cast<double>(gain);
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<std::size_t>((bits >> 44) - (std::uint64_t{1023} << 8));
  }

  // Puts a row into the heap of the highest list, or into the list to which its gain has sunk.
  void put_in_order(std::int32_t row) {
    if (gain_[row] <= 0) return;
    if (static_cast<std::int64_t>(list_of(gain_[row])) < highest_) return add(row);
    heap_.push_back({gain_[row], row});
    std::push_heap(heap_.begin(), heap_.end(), PickedLater());
  }

  const std::vector<std::int64_t>& gain_;
  std::vector<std::int32_t> first_, next_;  // of each list, and behind each row
  std::int64_t highest_;                    // higher lists are empty
  std::vector<Candidate> heap_;             // rows of the highest list
};

class Insertion {
 public:
  Insertion(const NeighborGraph& graph, const std::int64_t* weights, int n_threads, Watch& watch)
      : graph_(graph),
        weights_(weights),
        n_threads_(n_threads),
        covered_(static_cast<std::size_t>(graph.n_rows), 0),
        gain_(static_cast<std::size_t>(graph.n_rows), 0),
        last_(static_cast<std::size_t>(graph.n_rows)),
        watch_(watch) {
    transpose();
  }

  InsertionLog run(const std::vector<std::int32_t>& forced, std::int64_t n_pick) {
    watch_.total = n_pick;
    in_parts([&](std::int32_t begin, std::int32_t end) {
      for (std::int32_t v = begin; v < end; ++v) {
        if (v % 4096 == 0) check(watch_);
        std::int64_t gain = 0;
        for_each_served(v, [&](std::int32_t u, std::int64_t units) {
          gain += weights_[u] * std::max<std::int64_t>(0, units);
          return true;
        });
        gain_[v] = gain;
      }
    });
    std::vector<char> is_picked(covered_.size(), 0);
    for (const std::int32_t v : forced) {
      is_picked[v] = 1;
      pick(v);
    }
    Waiting waiting(gain_);
    for (std::int32_t v = 0; v < graph_.n_rows; ++v) {
      if (!is_picked[v]) waiting.add(v);
    }
    while (static_cast<std::int64_t>(log_.picked.size()) < n_pick) {
      check(watch_);
      const std::int32_t best = waiting.take();
      if (best < 0) break;
      pick(best);
    }
    return std::move(log_);
  }

 private:
  // Covers what v serves, and takes from every row what it can no longer gain there. Integers make that exact.
  void pick(std::int32_t v) {
    log_.picked.push_back(v);
    log_.gains.push_back(gain_[v]);
    // First all rows that are covered better, without a branch that would be guessed wrongly; then what each takes.
    nearer_.resize(static_cast<std::size_t>(1 + graph_.indptr[v + 1] - graph_.indptr[v] + indptr_[v + 1] - indptr_[v]));
    std::size_t n_nearer = 0;
    for_each_served(v, [&](std::int32_t u, std::int64_t units) {
      nearer_[n_nearer] = {u, units};
      n_nearer += units > covered_[u] ? 1 : 0;
      return units > 0;
    });
    for (std::size_t i = 0; i < n_nearer; ++i) {
      const auto [u, units] = nearer_[i];
      const std::int64_t before = covered_[u], weight = weights_[u];
      covered_[u] = units;
      for_each_served(u, [&, units = units](std::int32_t w, std::int64_t reach) {
        if (reach <= before) return false;
        gain_[w] -= weight * (std::min(reach, units) - before);
        return true;
      });
    }
    ++watch_.done;
  }

  // Lists are the beginning of a ranking by similarity descending, then row ascending.
  bool lists(std::int32_t v, std::int32_t u, float similarity) const {
    const Edge& last = last_[v];
    return similarity > last.similarity || (similarity == last.similarity && u <= last.row);
  }

  // The edges u -> v that have no edge v -> u, by v: what row v serves besides itself and its own list, most similar
  // first.
  void transpose() {
    for (std::int32_t v = 0; v < graph_.n_rows; ++v) {
      const std::int64_t end = graph_.indptr[v + 1];
      last_[v] = end == graph_.indptr[v] ? Edge{2.0f, -1} : Edge{graph_.similarities[end - 1], graph_.indices[end - 1]};
    }
    indptr_.assign(static_cast<std::size_t>(graph_.n_rows + 1), 0);
    const auto for_each_one_way = [&](std::int32_t begin, std::int32_t end,
                                      const auto& visit) {  // those to [begin, end)
      for (std::int32_t u = 0; u < graph_.n_rows; ++u) {
        if (u % 4096 == 0) check(watch_);
        for (std::int64_t e = graph_.indptr[u]; e < graph_.indptr[u + 1]; ++e) {
          const std::int32_t v = graph_.indices[e];
          if (v >= begin && v < end && !lists(v, u, graph_.similarities[e])) visit(u, v, e);
        }
      }
    };
    in_parts([&](std::int32_t begin, std::int32_t end) {
      for_each_one_way(begin, end, [&](std::int32_t, std::int32_t v, std::int64_t) { ++indptr_[v + 1]; });
    });
    for (std::int64_t v = 0; v < graph_.n_rows; ++v) indptr_[v + 1] += indptr_[v];
    one_way_.resize(static_cast<std::size_t>(indptr_[graph_.n_rows]));
    std::vector<std::int64_t> next(indptr_.begin(), indptr_.end() - 1);
    in_parts([&](std::int32_t begin, std::int32_t end) {
      for_each_one_way(begin, end, [&](std::int32_t u, std::int32_t v, std::int64_t e) {
        one_way_[next[v]++] = {graph_.similarities[e], u};
      });
      for (std::int32_t v = begin; v < end; ++v) {
        std::sort(one_way_.begin() + indptr_[v], one_way_.begin() + indptr_[v + 1],
                  [](const Edge& a, const Edge& b) { return a.similarity > b.similarity; });
      }
    });
  }

  // Does a part of the rows on each thread. (Each looks at all edges: more threads would hardly gain.)
  void in_parts(const std::function<void(std::int32_t, std::int32_t)>& body) const {
    const std::int64_t parts = graph_.n_rows < 4096 ? 1 : std::min(n_threads_, 4);
    run_team(static_cast<int>(parts), [&](int part) {
      body(static_cast<std::int32_t>(graph_.n_rows * part / parts),
           static_cast<std::int32_t>(graph_.n_rows * (part + 1) / parts));
    });
  }

  // Visits v itself, its list, and other rows that list v. A visit that returns false ends a list, what follows being
  // less similar.
  template <typename Visit>
  void for_each_served(std::int32_t v, const Visit& visit) const {
    visit(v, kOneInUnits);
    for (std::int64_t e = graph_.indptr[v]; e < graph_.indptr[v + 1]; ++e) {
      if (!visit(graph_.indices[e], in_units(graph_.similarities[e]))) break;
    }
    for (std::int64_t e = indptr_[v]; e < indptr_[v + 1]; ++e) {
      if (!visit(one_way_[e].row, in_units(one_way_[e].similarity))) break;
    }
  }

  struct Edge {
    float similarity;
    std::int32_t row;
  };
  struct Served {
    std::int32_t row;
    std::int64_t units;
  };

  const NeighborGraph& graph_;
  const std::int64_t* weights_;
  int n_threads_;
  std::vector<std::int64_t> covered_;  // similarity of each row to the closest picked one, never negative
  std::vector<std::int64_t> gain_;     // what each row would gain now
  std::vector<std::int64_t> indptr_;
  std::vector<Edge> one_way_, last_;  // `last_`: the end of each row's own list
  std::vector<Served> nearer_;        // by the row that is being picked
  InsertionLog log_;
  Watch& watch_;
};

}  // namespace

InsertionLog insertion(const NeighborGraph& graph, const std::int64_t* weights, const std::vector<std::int32_t>& forced,
                       std::int64_t n_pick, int n_threads, Watch& watch) {
  return Insertion(graph, weights, n_threads, watch).run(forced, n_pick);
}

}  // namespace pyredund::cpu
