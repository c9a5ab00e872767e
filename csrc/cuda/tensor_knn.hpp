#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/knn_graph.hpp"
#include "cuda/plain_knn.hpp"

namespace pyredund::cuda {

// As plain_knn for all rows, with the same bits, for k up to kTensorMost and columns that are distinct (two zero rows
// would be similar by 1, which no product of them says). Tensor cores score all pairs in half precision, each pair of a
// self-join once, in waves; what reaches a row's bar is scored exactly after the wave. The bar is the similarity that
// the row's k-th neighbour will reach, by a guess from what was seen, less a certified margin. Rows where the guess was
// too high, or to which more comes than they can hold, are searched again, as queries, without guesses and in waves too
// small for that. `excluded` is columns.own in host memory.
constexpr std::int64_t kTensorMost = 1024;
void tensor_knn(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const Lists& lists,
                const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch);

}  // namespace pyredund::cuda
