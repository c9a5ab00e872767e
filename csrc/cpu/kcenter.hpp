#pragma once

#include <cstdint>
#include <vector>

#include "cpu/closest_prefix.hpp"
#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"

namespace pyredund::cpu {

// Rows in the order in which they were picked, how similar each was to the closest one picked before it (the first: -1,
// forced ones: 1), and when the closest pick of every row changed.
struct KCenterLog {
  std::vector<std::int32_t> picked;
  std::vector<float> similarities;
  PrefixLog closest;
};

// Farthest-first traversal (Gonzalez 1985): picks `forced` first, in their order, then always the row that is least
// similar to its closest pick, the lowest of equals, until `n_pick` are picked. Without forced rows it begins with the
// row farthest from the mean of all rows, row i counting weights[i] times. `graph` is the beginning of each row's
// ranking of the others, perhaps none of it. Of two picks equally similar to a row, the lower one is the closer.
KCenterLog kcenter(const SearchPlan& plan, MatrixView rows, const std::int64_t* weights, const NeighborGraph& graph,
                   const std::vector<std::int32_t>& forced, std::int64_t n_pick, Watch& watch);

// The row with the lowest product with the sum of all rows, the lowest of equals. Coordinates are summed as integers in
// units of 2^-30; the product is a float64 sum in eight lanes (coordinate mod 8), the lanes as
// ((0+4)+(2+6)) + ((1+5)+(3+7)).
std::int32_t farthest_from_mean(MatrixView rows, const std::int64_t* weights);

}  // namespace pyredund::cpu
