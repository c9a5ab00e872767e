#pragma once

#include <cstdint>
#include <vector>

#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"

namespace pyredund::cpu {

// Rows in the order in which they were picked: row picks[p] of the matrix at place p. `tie_order[p]` decides between
// picks that are equally similar: the lower one is the closer.
struct PickOrder {
  std::int64_t count;
  std::int64_t n_forced;  // the first picks, between which changes are not logged
  const std::int32_t* picks;
  const std::int64_t* tie_order;
};

// When the closest of the picks changed: row i's closest pick becomes that at place places[e], with similarities[e],
// for e from indptr[i] to indptr[i + 1], places ascending. Everybody's first is the first pick, or the closest of the
// forced ones.
struct PrefixLog {
  std::vector<std::int64_t> indptr{0};
  std::vector<std::int32_t> places;
  std::vector<float> similarities;
};

// The closest pick of every row among the first pick, the first two, the first three and so on, exactly. `graph` is the
// beginning of each row's ranking of the others: once a row in the list of row i is picked, only others in that list
// can come closer, so that only earlier picks are searched.
PrefixLog closest_prefix(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, const PickOrder& order,
                         Watch& watch);

}  // namespace pyredund::cpu
