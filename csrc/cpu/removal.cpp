#include "cpu/removal.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "cpu/kept_lists.hpp"
#include "cpu/similarity_units.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

// The next row of a class that may go. Two of them fit into half a cache line, which is why its row and priority are
// looked up: only ties ask for them.
struct Candidate {
  std::int64_t cost;  // never above the true cost: costs only grow while rows go
  float second;       // similarity to the second nearest row
  std::int32_t cls;
};

struct Move {
  std::int32_t cls;
  Neighbor to;
};

// A class without a live row, among those that one class serves.
struct Served {
  std::int32_t next;  // class; -1: this is the last
  float similarity;   // to the class that serves it
};

class Removal {
 public:
  Removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, bool of_rows, const RowClasses& classes,
          std::int64_t n_remove, std::int64_t room, Watch& watch)
      : n_classes_(rows.rows),
        classes_(classes),
        lowest_(lowest_behind(classes, rows.rows)),
        live_(static_cast<std::size_t>(rows.rows)),
        lists_(plan, rows, graph,
               of_rows ? ListNames{classes.member_ptr, lowest_.data(), classes.class_of} : ListNames{}, live_, room,
               watch),
        first_served_(static_cast<std::size_t>(rows.rows), -1),
        watch_(watch) {
    served_.reserve(static_cast<std::size_t>(std::min(n_remove, n_classes_)));
    log_.removed.reserve(static_cast<std::size_t>(n_remove));
    log_.costs.reserve(static_cast<std::size_t>(n_remove));
    log_.moved_ptr.reserve(static_cast<std::size_t>(n_remove + 1));
    for (std::int32_t c = 0; c < n_classes_; ++c) live_[c] = classes.size(c);
    find_candidates(plan.n_threads);
    batch_ = std::max(n_remove + n_remove / 4, n_classes_ / 16);
  }

  RemovalLog run(std::int64_t n_remove) {
    watch_.total = n_remove;
    while (static_cast<std::int64_t>(log_.removed.size()) < n_remove) {
      check(watch_);
      while (!later_.empty() && (heap_.empty() || heap_.front().cost > highest_)) bring_more();
      std::pop_heap(heap_.begin(), heap_.end(), GoesLater{*this});
      Candidate& next = heap_.back();
      const std::int64_t cost = live_[next.cls] > 1 ? 0 : cost_of(next.cls);
      if (cost > next.cost) {
        next.cost = cost;
        std::push_heap(heap_.begin(), heap_.end(), GoesLater{*this});
        continue;
      }
      const Candidate gone = next;
      heap_.pop_back();
      take_away(gone);
      ++watch_.done;
    }
    return std::move(log_);
  }

 private:
  // The lowest of each member and those that go after it; empty where no two rows are identical.
  static std::vector<std::int32_t> lowest_behind(const RowClasses& classes, std::int64_t n_classes) {
    if (classes.member_ptr == nullptr) return {};
    std::vector<std::int32_t> lowest(classes.members, classes.members + classes.member_ptr[n_classes]);
    for (std::int64_t c = 0; c < n_classes; ++c) {
      for (std::int32_t m = classes.member_ptr[c + 1] - 2; m >= classes.member_ptr[c]; --m) {
        lowest[m] = std::min(lowest[m], lowest[m + 1]);
      }
    }
    return lowest;
  }

  // Orders a heap whose front is the candidate that goes first.
  struct GoesLater {
    const Removal& all;

    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.cost != b.cost) return a.cost > b.cost;
      const std::int32_t row_a = all.row_of(a.cls), row_b = all.row_of(b.cls);
      const std::int32_t* const priority = all.classes_.priority;
      if (priority != nullptr && priority[row_a] != priority[row_b]) return priority[row_a] > priority[row_b];
      if (a.second != b.second) return a.second > b.second;
      return row_a < row_b;
    }
  };

  // Costs are looked up here, or else every candidate would come up once to learn its own.
  Candidate candidate_of(std::int32_t c) { return {live_[c] == 1 ? cost_of(c) : 0, second_similarity(c), c}; }

  void find_candidates(int n_threads) {
    constexpr std::int32_t kNone = -1, kUnknown = -2;
    later_.resize(static_cast<std::size_t>(n_classes_));
    run_parts(n_classes_, n_threads, [&](int, std::int64_t begin, std::int64_t end) {
      for (auto c = static_cast<std::int32_t>(begin); c < end; ++c) {
        if (c % 4096 == 0) check(watch_);
        const bool may_go = classes_.may_go(c, 0);
        later_[c] = may_go && lists_.tells_two(c) ? candidate_of(c) : Candidate{0, 0.0f, may_go ? kUnknown : kNone};
      }
    });
    for (std::int32_t c = 0; c < n_classes_; ++c) {
      if (later_[c].cls == kUnknown) later_[c] = candidate_of(c);
    }
    later_.erase(std::remove_if(later_.begin(), later_.end(), [](const Candidate& one) { return one.cls == kNone; }),
                 later_.end());
  }

  // Puts the cheapest of those that wait into the heap, with all that cost the same: those that stay behind cost more
  // than `highest_`. A heap of few is walked in near memory.
  void bring_more() {
    const auto cheaper = [](const Candidate& a, const Candidate& b) { return a.cost < b.cost; };
    const auto batch = static_cast<std::ptrdiff_t>(batch_);
    if (batch < static_cast<std::ptrdiff_t>(later_.size())) {
      std::nth_element(later_.begin(), later_.begin() + batch, later_.end(), cheaper);
      highest_ = later_[static_cast<std::size_t>(batch)].cost;
    } else {
      highest_ = std::numeric_limits<std::int64_t>::max();
    }
    const auto stay =
        std::partition(later_.begin(), later_.end(), [this](const Candidate& one) { return one.cost > highest_; });
    heap_.insert(heap_.end(), stay, later_.end());
    later_.erase(stay, later_.end());
    std::make_heap(heap_.begin(), heap_.end(), GoesLater{*this});
  }

  bool has_identical_rows() const { return classes_.member_ptr != nullptr; }
  std::int32_t gone(std::int32_t c) const { return classes_.size(c) - live_[c]; }
  std::int32_t lowest_live(std::int32_t c) const { return lowest_[classes_.member_ptr[c] + gone(c)]; }
  // The row of a class with live ones that goes next.
  std::int32_t row_of(std::int32_t c) const { return classes_.member(c, gone(c)); }
  Served& served(std::int32_t c) { return served_[static_cast<std::size_t>(-1 - live_[c])]; }

  // Similarity of class c to the second nearest row of another class, in the full set; -1 where there is
  // none.
  float second_similarity(std::int32_t c) {
    const Neighbor nearest = lists_.nearest(c);
    if (nearest.id >= 0 && classes_.size(nearest.id) > 1) return nearest.similarity;
    return nearest.id < 0 ? -1.0f : lists_.nearest(c, nearest.id).similarity;
  }

  // What all rows lose together when the last live row of class c goes.
  std::int64_t cost_of(std::int32_t c) {
    std::int64_t cost = classes_.weight(c) * (kOneInUnits - in_units(lists_.nearest(c).similarity));
    for (std::int32_t i = first_served_[c]; i >= 0; i = served(i).next) {
      cost += classes_.weight(i) * (in_units(served(i).similarity) - in_units(lists_.nearest(i, c).similarity));
    }
    return cost;
  }

  void take_away(const Candidate& candidate_gone) {
    const std::int32_t c = candidate_gone.cls;
    log_.removed.push_back(row_of(c));
    log_.costs.push_back(candidate_gone.cost);
    if (live_[c] == 1) {
      served_.push_back({-1, 1.0f});
      live_[c] = -static_cast<std::int32_t>(served_.size());
      serve_others_of(c);
      assign(c);
    } else {
      const std::int32_t lowest_before = lowest_live(c);
      --live_[c];
      if (lowest_live(c) != lowest_before) serve_others_of(c);  // a tie may now go to another class
      if (classes_.may_go(c, gone(c))) {
        heap_.push_back({0, candidate_gone.second, c});
        std::push_heap(heap_.begin(), heap_.end(), GoesLater{*this});
      }
    }
    sort_moves();
    log_.moved_ptr.push_back(static_cast<std::int64_t>(log_.moved.size()));
  }

  // Puts what moved in this step in the order of the classes, which the order of the lists in memory has no part in.
  void sort_moves() {
    const auto first = static_cast<std::size_t>(log_.moved_ptr.back());
    if (log_.moved.size() - first < 2) return;
    moves_.clear();
    for (std::size_t m = first; m < log_.moved.size(); ++m) {
      moves_.push_back({log_.moved[m], {log_.nearest[m], log_.similarities[m]}});
    }
    std::sort(moves_.begin(), moves_.end(), [](const Move& a, const Move& b) { return a.cls < b.cls; });
    for (std::size_t m = first; m < log_.moved.size(); ++m) {
      log_.moved[m] = moves_[m - first].cls;
      log_.nearest[m] = moves_[m - first].to.id;
      log_.similarities[m] = moves_[m - first].to.similarity;
    }
  }

  // Gives every class that c serves the class that now serves it.
  void serve_others_of(std::int32_t c) {
    std::int32_t i = first_served_[c];
    first_served_[c] = -1;
    while (i >= 0) {
      const std::int32_t next = served(i).next;
      assign(i);
      i = next;
    }
  }

  // Class i, which has no live row, is served by its nearest kept class; among equals by that with the lowest
  // live row.
  void assign(std::int32_t i) {
    Neighbor nearest = lists_.nearest(i);
    if (nearest.id < 0) throw std::logic_error("no row is kept that could stand for a removed one");
    if (has_identical_rows()) {  // otherwise lists are ordered by row already
      const auto take_lower = [&](std::int32_t c) {
        if (lowest_live(c) < lowest_live(nearest.id)) nearest.id = c;
      };
      // Classes are numbered by their lowest rows, so none beyond can be lower than one that still has its lowest.
      const auto has_lowest = [&] { return lowest_live(nearest.id) == lowest_[classes_.member_ptr[nearest.id]]; };
      lists_.for_each_tied(i, nearest.similarity, take_lower, has_lowest);
    }
    served(i) = {first_served_[nearest.id], nearest.similarity};
    first_served_[nearest.id] = i;
    log_.moved.push_back(i);
    log_.nearest.push_back(nearest.id);
    log_.similarities.push_back(nearest.similarity);
  }

  std::int64_t n_classes_;
  const RowClasses& classes_;
  std::vector<std::int32_t> lowest_;
  std::vector<std::int32_t> live_;  // rows of each class that are kept; -1 - s where none is, which is then served_[s]
  KeptLists lists_;
  std::vector<std::int32_t> first_served_;  // classes without a live row, linked behind the class that serves them
  std::vector<Served> served_;
  std::int64_t batch_ = 0;  // candidates that come into the heap together
  std::int64_t highest_ = std::numeric_limits<std::int64_t>::min();
  std::vector<Candidate> later_;  // one candidate a class, here or in the heap
  std::vector<Candidate> heap_;
  std::vector<Move> moves_;  // of one step
  RemovalLog log_;
  Watch& watch_;
};

}  // namespace

RemovalLog removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, bool of_rows,
                   const RowClasses& classes, std::int64_t n_remove, std::int64_t room, Watch& watch) {
  if (n_remove == 0) return {};
  return Removal(plan, rows, graph, of_rows, classes, n_remove, room, watch).run(n_remove);
}

}  // namespace pyredund::cpu
