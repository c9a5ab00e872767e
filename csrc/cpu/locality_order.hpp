#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// An order of the rows in which near rows have near places, by recursive bisection: the rows of a node are split in two
// halves of whole leaves by their projection onto the node's principal axis, which a sample of them gives (McNames
// 2001 builds a tree of the same kind). Every run of `leaf` places is then a small cell. The same order for any number
// of threads.
std::vector<std::int32_t> locality_order(const Kernels& kernels, MatrixView rows, std::int64_t leaf, int n_threads,
                                         Watch& watch);

// Moves rows, in place, so that row p becomes what was row order[p], or back again.
void arrange_rows(float* data, std::int64_t rows, std::int64_t stride, const std::int32_t* order, bool back,
                  int n_threads);

// Brings lists of k neighbours, by place, back to the order of the rows.
void arrange_lists(std::int32_t* ids, float* similarities, std::int64_t rows, std::int64_t k, const std::int32_t* order,
                   int n_threads);

}  // namespace pyredund::cpu
