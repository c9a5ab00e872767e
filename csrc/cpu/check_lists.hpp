#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Refuses a graph of rows among themselves in which a row is its own neighbour, or another's more than once.
inline void check_lists(const NeighborGraph& graph, const Watch& watch) {
  std::vector<std::int32_t> listed_by(static_cast<std::size_t>(graph.n_rows), -1);
  for (std::int32_t i = 0; i < graph.n_rows; ++i) {
    if (i % 4096 == 0) check(watch);
    for (std::int64_t e = graph.indptr[i]; e < graph.indptr[i + 1]; ++e) {
      const std::int32_t other = graph.indices[e];
      if (other < 0 || other >= graph.n_rows)
        throw std::invalid_argument("graph must list rows from 0 to " + std::to_string(graph.n_rows - 1) + ", row " +
                                    std::to_string(i) + " lists " + std::to_string(other));
      if (other == i)
        throw std::invalid_argument("graph must not list a row among its own neighbours, row " + std::to_string(i) +
                                    " is");
      if (listed_by[other] == i)
        throw std::invalid_argument("graph must not list a neighbour twice, row " + std::to_string(i) + " does");
      listed_by[other] = i;
    }
  }
}

}  // namespace pyredund::cpu
