#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/knn_graph.hpp"
#include "cuda/plain_knn.hpp"

namespace pyredund::cuda {

// As plain_knn for all rows, with the same bits, for k up to kTensorMost. Tensor cores score all pairs in half
// precision, each pair of a self-join once, in waves; what reaches a row's bar, its k-th best similarity so far less a
// certified margin, is scored exactly after the wave. Rows to which more comes than they can hold are searched again,
// as queries, in waves too small for that. `excluded` is columns.own in host memory.
constexpr std::int64_t kTensorMost = 1024;
void tensor_knn(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const Lists& lists,
                const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch);

}  // namespace pyredund::cuda
