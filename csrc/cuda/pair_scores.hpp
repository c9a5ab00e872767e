#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/settle.hpp"
#include "cuda/tile_scan.hpp"

namespace pyredund::cuda {

// Bars that every score by tensor cores reaches whose pair's similarity is `threshold` or more; bars from `rows.rows`
// to `all_rows` let nothing pass.
void pair_bars(const UnitRows& rows, bool self_join, const Bars& bars, std::int64_t all_rows, double threshold,
               cudaStream_t stream);

// Puts similarities in the place of the scores of the first `count` pairs.
void score_pairs(const UnitRows& rows, const UnitRows& columns, Pair* pairs, std::int64_t count, cudaStream_t stream);

// By definition, pairs of the rows [first, first + count) with a similarity of `threshold` or more, each pair of a
// self-join once. Their number goes on beyond the capacity.
void plain_pairs(const UnitRows& rows, std::int64_t first, std::int64_t count, const UnitRows& columns, bool self_join,
                 double threshold, const Survivors& to, cudaStream_t stream);

}  // namespace pyredund::cuda
