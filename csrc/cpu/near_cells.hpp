#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cells.hpp"

namespace pyredund::cpu {

// For every place a similarity that the k-th best of its row reaches, because the k-th best among the rows of the
// nearest few cells does: a bar to begin with that is nearly as high as the last one.
std::vector<float> floors_from_near_cells(const Kernels& kernels, MatrixView rows, const Cells& cells, std::int64_t k,
                                          int n_threads, const Watch& watch);

}  // namespace pyredund::cpu
