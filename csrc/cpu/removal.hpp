#pragma once

#include <cstdint>

#include "cpu/kept_lists.hpp"
#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"
#include "results.hpp"

namespace pyredund::cpu {

// Rows as the classes of identical rows that they form. members[member_ptr[c]] ... members[member_ptr[c + 1]
// - 1] is the order in which the rows of class c may go; the first `removable[c]` of them may, the others
// must stay.
struct RowClasses {
  const std::int64_t* member_ptr;
  const std::int32_t* members;
  const std::int32_t* removable;
  const std::int32_t* priority;  // of every row, as ranks: lower goes first among equal costs
  const std::int64_t* weights;   // of the classes in the sum that costs are losses of
};

// Takes `n_remove` rows away, always the one whose removal costs least: the loss, in the weighted sum over all
// rows, of similarity to the nearest kept row. Ties: lower priority, then lower similarity to the second nearest row
// not identical to it, then higher index. `rows` are the distinct rows, `graph` the beginning of each one's
// ranking of the others, or with `names` of each row's. Lists that replace those that run out take up to `room` bytes.
RemovalLog removal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, ListNames names,
                   const RowClasses& classes, std::int64_t n_remove, std::int64_t room, Watch& watch);

}  // namespace pyredund::cpu
