#pragma once

#include <cstdint>

#include "cpu/identical_rows.hpp"
#include "cpu/knn_graph.hpp"

namespace pyredund::cpu {

constexpr std::int64_t kNotCentral = -(std::int64_t{1} << 62);

// For every row the sum, in units of 2^-32, of its similarities to the others of its cluster. Row i stands for sizes[i]
// identical ones. Rows that provably do not have the largest sum of their cluster get kNotCentral instead.
void central_rows(const SearchPlan& plan, MatrixView rows, const std::int64_t* sizes, const Members& clusters,
                  std::int64_t n_clusters, std::int64_t* sums, Watch& watch);

}  // namespace pyredund::cpu
