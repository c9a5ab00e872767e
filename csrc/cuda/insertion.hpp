#pragma once

#include <cstdint>

#include "neighbor_graph.hpp"
#include "results.hpp"
#include "watch.hpp"

namespace pyredund::cuda {

// Edges u -> v of a graph that have no edge v -> u, by v, most similar first, in host memory.
struct OneWayEdges {
  const std::int64_t* indptr;
  const std::int32_t* rows;
  const float* similarities;
};

struct InsertionByRounds : InsertionLog {
  std::int64_t rounds = 0;  // that it took
};

// As cpu::insertion where no row is forced, with the same picks and gains.
//
// Two rows meet where both would cover a third better than it is covered. A row that gains most (the lowest of equals)
// among all that it meets is picked at once, with all others of its kind: gains only shrink, so no row that it meets
// can come before it, and what it gains stays. Picks in the order of their gains are then those of the greedy
// algorithm. Once there are enough, rows go on being picked that gain no less than the last that is wanted. Where gains
// form a chain, a round takes one row.
InsertionByRounds insertion(const NeighborGraph& graph, const OneWayEdges& one_way, const std::int64_t* weights,
                            std::int64_t n_pick, int device, Watch& watch);

}  // namespace pyredund::cuda
