#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// The edges u -> v of a graph that have no edge v -> u, by v, most similar first: with a row's own list, what lists it.
struct OneWay {
  struct Edge {
    float similarity;
    std::int32_t row;
  };

  std::int64_t length(std::int64_t v) const { return indptr[v + 1] - indptr[v]; }

  std::vector<std::int64_t> indptr;
  std::unique_ptr<Edge[]> edges;  // indptr.back() of them
};

// Rows with weights below 0 are copies of others, and have no edges here (null: there are none).
inline bool is_copy(const std::int32_t* weights, std::int64_t row) { return weights != nullptr && weights[row] < 0; }

OneWay edges_one_way(const NeighborGraph& graph, const std::int32_t* weights, int n_threads, const Watch& watch);

}  // namespace pyredund::cpu
