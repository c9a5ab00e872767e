#include "cpu/insertion.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>

#include "cpu/one_way.hpp"
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

  // Visits the rows that `take` is likely to look at next, some of those that stay in the highest list.
  template <typename Visit>
  __attribute__((always_inline)) void for_each_likely_next(const Visit& visit) const {
    for (std::size_t i = 0; i < std::min<std::size_t>(3, heap_.size()); ++i) visit(heap_[i].row);
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
  Insertion(const NeighborGraph& graph, const std::int32_t* weights, int n_threads, Watch& watch)
      : graph_(graph),
        weights_(weights),
        n_threads_(n_threads),
        one_way_(edges_one_way(graph, weights, n_threads, watch)),  // first, as it takes more for a moment
        covered_(static_cast<std::size_t>(graph.n_rows), 0.0f),
        gain_(static_cast<std::size_t>(graph.n_rows), 0),
        watch_(watch) {}

  InsertionLog run(const std::vector<std::int32_t>& forced, std::int64_t n_pick) {
    watch_.total = n_pick;
    run_parts(graph_.n_rows, n_threads_, [&](int, std::int64_t begin, std::int64_t end) {
      for (std::int64_t v = begin; v < end; ++v) {
        if (v % 4096 == 0) check(watch_);
        if (is_copy(weights_, v)) {
          covered_[v] = kNeverNearer;
          continue;
        }
        std::int64_t gain = 0;
        for_each_served(static_cast<std::int32_t>(v), [&](std::int32_t u, float similarity) {
          gain += weight(u) * in_units(similarity);
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
      waiting.for_each_likely_next([&](std::int32_t next) __attribute__((always_inline)) { fetch(next); });
      pick(best);
    }
    return std::move(log_);
  }

 private:
  static constexpr float kNeverNearer = 2;

  std::int64_t weight(std::int64_t u) const { return weights_ == nullptr ? 1 : std::max<std::int64_t>(weights_[u], 0); }

  struct Served {
    std::int32_t row;
    float similarity;
  };

  // Covers what v serves, and takes from every row what it can no longer gain there. Integers make that exact.
  void pick(std::int32_t v) {
    log_.picked.push_back(v);
    log_.gains.push_back(gain_[v]);
    // First all rows that are covered better, without a branch that would be guessed wrongly; then what each takes.
    nearer_.resize(static_cast<std::size_t>(1 + graph_.indptr[v + 1] - graph_.indptr[v] + one_way_.length(v)));
    Served* const nearer = nearer_.data();
    float* const covered = covered_.data();
    std::size_t n_nearer = 0;
    for_each_served(v, [&](std::int32_t u, float similarity) {
      nearer[n_nearer] = {u, similarity};
      n_nearer += similarity > covered[u] ? 1 : 0;
      return true;
    });
    constexpr std::size_t kAhead = 4;
    for (std::size_t i = 0; i < std::min(kAhead, n_nearer); ++i) fetch(nearer[i].row);
    std::int64_t* const gain = gain_.data();
    for (std::size_t i = 0; i < n_nearer; ++i) {
      if (i + kAhead < n_nearer) fetch(nearer[i + kAhead].row);
      const std::int32_t u = nearer[i].row;
      const float before = covered[u];
      const std::int64_t from = in_units(before), to = in_units(nearer[i].similarity), weight = this->weight(u);
      covered[u] = nearer[i].similarity;
      for_each_served(u, [=](std::int32_t w, float reach) {
        if (reach <= before) return false;
        gain[w] -= weight * (std::min(in_units(reach), to) - from);
        return true;
      });
    }
    ++watch_.done;
  }

  // Asks for what row v serves before it is needed: this algorithm waits for lists of rows that lie far apart. Inlined,
  // because GCC takes a function that does nothing but that for one without effect, and leaves calls of it out.
  __attribute__((always_inline)) void fetch(std::int32_t v) const {
    fetch(graph_.indices + graph_.indptr[v], graph_.indices + graph_.indptr[v + 1]);
    fetch(graph_.similarities + graph_.indptr[v], graph_.similarities + graph_.indptr[v + 1]);
    fetch(one_way_.edges.get() + one_way_.indptr[v], one_way_.edges.get() + one_way_.indptr[v + 1]);
  }
  template <typename T>
  __attribute__((always_inline)) static void fetch(const T* begin, const T* end) {
    constexpr std::ptrdiff_t kLine = 64 / sizeof(T);
    for (std::ptrdiff_t i = 0; i < end - begin; i += kLine) __builtin_prefetch(begin + i);
    if (begin != end) __builtin_prefetch(end - 1);  // may lie on one more cache line
  }

  // Visits v itself, its list, and other rows that list v, those with a positive similarity. A visit that returns false
  // ends a list, what follows being less similar.
  template <typename Visit>
  void for_each_served(std::int32_t v, const Visit& visit) const {
    visit(v, 1.0f);
    const std::int32_t* const ids = graph_.indices;
    const float* const similarities = graph_.similarities;
    for (std::int64_t e = graph_.indptr[v], end = graph_.indptr[v + 1]; e < end && similarities[e] > 0; ++e) {
      if (!visit(ids[e], similarities[e])) break;
    }
    const OneWay::Edge* const edges = one_way_.edges.get();
    for (std::int64_t e = one_way_.indptr[v], end = one_way_.indptr[v + 1]; e < end && edges[e].similarity > 0; ++e) {
      if (!visit(edges[e].row, edges[e].similarity)) break;
    }
  }

  const NeighborGraph& graph_;
  const std::int32_t* weights_;
  int n_threads_;
  OneWay one_way_;
  std::vector<float> covered_;      // similarity of each row to the closest picked one; of a copy kNeverNearer
  std::vector<std::int64_t> gain_;  // what each row would gain now
  std::vector<Served> nearer_;      // by the row that is being picked
  InsertionLog log_;
  Watch& watch_;
};

}  // namespace

InsertionLog insertion(const NeighborGraph& graph, const std::int32_t* weights, const std::vector<std::int32_t>& forced,
                       std::int64_t n_pick, int n_threads, Watch& watch) {
  return Insertion(graph, weights, n_threads, watch).run(forced, n_pick);
}

}  // namespace pyredund::cpu
