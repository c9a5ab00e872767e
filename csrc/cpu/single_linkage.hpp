#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cluster_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// The first `most` merges of single linkage along pairs of n clusters, lower number first: the least height, of equals
// the lowest number, then the lowest other one, a merged cluster having the lower of two numbers. Pairs may repeat;
// they are left sorted.
std::vector<ClusterPair> single_linkage(std::int64_t n, std::vector<ClusterPair>& pairs, std::int64_t most,
                                        Watch& watch);

}  // namespace pyredund::cpu
