#pragma once

#include <cstdint>

#include "cpu/kept_lists.hpp"
#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"
#include "results.hpp"

namespace pyredund::cpu {

// Rows as the classes of identical rows that they form. members[member_ptr[c]] ... members[member_ptr[c + 1]
// - 1] is the order in which the rows of class c may go; the first `removable[c]` of them may, the others
// must stay. Null: what is usual, which then takes no memory.
struct RowClasses {
  const std::int32_t* member_ptr = nullptr;  // null: no two rows are identical
  const std::int32_t* members = nullptr;
  const std::int32_t* class_of = nullptr;
  const std::int32_t* removable = nullptr;  // null: all rows
  const std::int32_t* priority = nullptr;   // of every row, as ranks: lower goes first among equal costs
  const std::int64_t* weights = nullptr;    // of the classes in the sum that costs are losses of; null: their sizes

  std::int32_t size(std::int32_t c) const { return member_ptr == nullptr ? 1 : member_ptr[c + 1] - member_ptr[c]; }
  std::int32_t member(std::int32_t c, std::int32_t at) const {
    return member_ptr == nullptr ? c : members[member_ptr[c] + at];
  }
  std::int64_t weight(std::int32_t c) const { return weights == nullptr ? size(c) : weights[c]; }
  bool may_go(std::int32_t c, std::int32_t at) const { return at < (removable == nullptr ? size(c) : removable[c]); }
};

// Takes `n_remove` rows away, always the one whose removal costs least: the loss, in the weighted sum over all
// rows, of similarity to the nearest kept row. Ties: lower priority, then lower similarity to the second nearest row
// not identical to it, then higher index. `rows` are the distinct rows, `graph` the beginning of each one's
// ranking of the others, or (`of_rows`) of each row's. Lists that replace those that run out take up to `room` bytes.
RemovalLog removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, bool of_rows,
                   const RowClasses& classes, std::int64_t n_remove, std::int64_t room, Watch& watch);

}  // namespace pyredund::cpu
