#pragma once

#include <cstdint>
#include <vector>

#include "neighbor_graph.hpp"
#include "results.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Greedy facility location (lazy evaluation: Minoux 1978) on the symmetrised graph: row v serves itself with
// similarity 1, its neighbours and the rows that list it with theirs, or 0 where negative. Picks `forced`
// first, in their order, then always the row with the largest gain, the lowest of equals, until `n_pick` are
// picked or no gain is left. `weights` (null: 1 each) say how often a row counts in the sum; below 0 means never, and
// that it cannot be picked either: it is a copy of a row that can.
InsertionLog insertion(const NeighborGraph& graph, const std::int32_t* weights, const std::vector<std::int32_t>& forced,
                       std::int64_t n_pick, int n_threads, Watch& watch);

}  // namespace pyredund::cpu
