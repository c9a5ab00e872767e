#include "cpu/removal.hpp"

#include <algorithm>
#include <stdexcept>

#include "cpu/kept_lists.hpp"
#include "cpu/similarity_units.hpp"

namespace pyredund::cpu {
namespace {

struct Candidate {
  std::int64_t cost;  // never above the true cost: costs only grow while rows go
  std::int32_t priority;
  float second;  // similarity to the second nearest row
  std::int32_t row;
  std::int32_t cls;
};

struct Move {
  std::int32_t cls;
  Neighbor to;
};

// Orders a heap whose front is the candidate that goes first.
bool goes_later(const Candidate& a, const Candidate& b) {
  if (a.cost != b.cost) return a.cost > b.cost;
  if (a.priority != b.priority) return a.priority > b.priority;
  if (a.second != b.second) return a.second > b.second;
  return a.row < b.row;
}

class Removal {
 public:
  Removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, ListNames names,
          const RowClasses& classes, std::int64_t room, Watch& watch)
      : n_classes_(rows.rows),
        classes_(classes),
        live_(static_cast<std::size_t>(rows.rows)),
        lists_(plan, rows, graph, names, live_, room, watch),
        first_served_(static_cast<std::size_t>(rows.rows), -1),
        next_served_(static_cast<std::size_t>(rows.rows), -1),
        similarity_(static_cast<std::size_t>(rows.rows), 1.0f),
        watch_(watch) {
    for (std::int32_t c = 0; c < n_classes_; ++c) live_[c] = size(c);
    has_identical_rows_ = classes.member_ptr[n_classes_] != n_classes_;
    if (has_identical_rows_) {
      lowest_.assign(classes.members, classes.members + classes.member_ptr[n_classes_]);
      for (std::int32_t c = 0; c < n_classes_; ++c) {
        for (std::int64_t m = classes.member_ptr[c + 1] - 2; m >= classes.member_ptr[c]; --m) {
          lowest_[m] = std::min(lowest_[m], lowest_[m + 1]);
        }
      }
    }
    heap_.reserve(static_cast<std::size_t>(n_classes_));
    for (std::int32_t c = 0; c < n_classes_; ++c) {
      if (c % 4096 == 0) check(watch);
      if (classes.removable[c] == 0) continue;
      heap_.push_back(candidate(c, second_similarity(c)));
      if (live_[c] == 1) heap_.back().cost = cost_of(c);  // or else every candidate would come up once to learn it
    }
    std::make_heap(heap_.begin(), heap_.end(), goes_later);
  }

  RemovalLog run(std::int64_t n_remove) {
    watch_.total = n_remove;
    while (static_cast<std::int64_t>(log_.removed.size()) < n_remove) {
      check(watch_);
      std::pop_heap(heap_.begin(), heap_.end(), goes_later);
      Candidate& next = heap_.back();
      const std::int64_t cost = live_[next.cls] > 1 ? 0 : cost_of(next.cls);
      if (cost > next.cost) {
        next.cost = cost;
        std::push_heap(heap_.begin(), heap_.end(), goes_later);
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
  std::int32_t size(std::int32_t c) const {
    return static_cast<std::int32_t>(classes_.member_ptr[c + 1] - classes_.member_ptr[c]);
  }
  std::int64_t gone(std::int32_t c) const { return size(c) - live_[c]; }
  std::int32_t lowest_live(std::int32_t c) const { return lowest_[classes_.member_ptr[c] + gone(c)]; }

  Candidate candidate(std::int32_t c, float second) const {
    const std::int32_t row = classes_.members[classes_.member_ptr[c] + gone(c)];
    return {0, classes_.priority[row], second, row, c};
  }

  // Similarity of class c to the second nearest row of another class, in the full set; -1 where there is
  // none.
  float second_similarity(std::int32_t c) {
    const Neighbor nearest = lists_.nearest(c);
    if (nearest.id >= 0 && size(nearest.id) > 1) return nearest.similarity;
    return nearest.id < 0 ? -1.0f : lists_.nearest(c, nearest.id).similarity;
  }

  // What all rows lose together when the last live row of class c goes.
  std::int64_t cost_of(std::int32_t c) {
    std::int64_t cost = classes_.weights[c] * (kOneInUnits - in_units(lists_.nearest(c).similarity));
    for (std::int32_t i = first_served_[c]; i >= 0; i = next_served_[i]) {
      cost += classes_.weights[i] * (in_units(similarity_[i]) - in_units(lists_.nearest(i, c).similarity));
    }
    return cost;
  }

  void take_away(const Candidate& candidate_gone) {
    const std::int32_t c = candidate_gone.cls;
    log_.removed.push_back(candidate_gone.row);
    log_.costs.push_back(candidate_gone.cost);
    const std::int32_t lowest_before = has_identical_rows_ ? lowest_live(c) : -1;
    --live_[c];
    if (live_[c] == 0) {
      serve_others_of(c);
      assign(c);
    } else {
      if (lowest_live(c) != lowest_before) serve_others_of(c);  // a tie may now go to another class
      if (gone(c) < classes_.removable[c]) {
        heap_.push_back(candidate(c, candidate_gone.second));
        std::push_heap(heap_.begin(), heap_.end(), goes_later);
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
      const std::int32_t next = next_served_[i];
      assign(i);
      i = next;
    }
  }

  // Class i, which has no live row, is served by its nearest kept class; among equals by that with the lowest
  // live row.
  void assign(std::int32_t i) {
    Neighbor nearest = lists_.nearest(i);
    if (nearest.id < 0) throw std::logic_error("no row is kept that could stand for a removed one");
    if (has_identical_rows_) {  // otherwise lists are ordered by row already
      const auto take_lower = [&](std::int32_t c) {
        if (lowest_live(c) < lowest_live(nearest.id)) nearest.id = c;
      };
      // Classes are numbered by their lowest rows, so none beyond can be lower than one that still has its lowest.
      const auto has_lowest = [&] { return lowest_live(nearest.id) == lowest_[classes_.member_ptr[nearest.id]]; };
      lists_.for_each_tied(i, nearest.similarity, take_lower, has_lowest);
    }
    similarity_[i] = nearest.similarity;
    next_served_[i] = first_served_[nearest.id];
    first_served_[nearest.id] = i;
    log_.moved.push_back(i);
    log_.nearest.push_back(nearest.id);
    log_.similarities.push_back(nearest.similarity);
  }

  std::int64_t n_classes_;
  const RowClasses& classes_;
  std::vector<std::int32_t> live_;  // rows of each class that are kept
  KeptLists lists_;
  std::vector<std::int32_t> first_served_;  // classes without a live row, linked behind the class that serves them
  std::vector<std::int32_t> next_served_;
  std::vector<float> similarity_;     // of such a class to the class that serves it
  std::vector<std::int32_t> lowest_;  // lowest of each member and those that go after it
  bool has_identical_rows_ = false;
  std::vector<Candidate> heap_;  // one candidate a class
  std::vector<Move> moves_;      // of one step
  RemovalLog log_;
  Watch& watch_;
};

}  // namespace

RemovalLog removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, ListNames names,
                   const RowClasses& classes, std::int64_t n_remove, std::int64_t room, Watch& watch) {
  if (n_remove == 0) return {};
  return Removal(plan, rows, graph, names, classes, room, watch).run(n_remove);
}

}  // namespace pyredund::cpu
