#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/search_plan.hpp"

namespace pyredund::cuda {

constexpr std::int32_t kTile = static_cast<std::int32_t>(kTileRows);
constexpr std::int32_t kBlock = static_cast<std::int32_t>(kBlockRows);
constexpr std::int64_t kChunk = 64;  // coordinates of a tile that are in shared memory at once
constexpr std::int64_t kSlice = 16;  // coordinates that the tensor cores take at once

inline std::int64_t rounded_up(std::int64_t count, std::int64_t to) { return (count + to - 1) / to * to; }

// Unit rows in float32 on a device, owned by somebody else, as on the CPU: zeros up to `stride`, a multiple of 8.
struct UnitRows {
  const float* data = nullptr;
  std::int64_t rows = 0, stride = 0;
};

enum class Element : int { kHalf = 0, kBfloat = 1, kFloat = 2, kDouble = 3 };

// Embeddings on a device, as somebody else laid them out; strides count elements.
struct DeviceInput {
  const void* data;
  Element element;
  std::int64_t rows, dim, row_stride, column_stride;
};

// The unit rows of the input, with the bits of cpu::unit_rows. *n_bad, zero before, counts rows with NaN or infinity:
// those whose norm is not finite.
void unit_rows(const DeviceInput& input, std::int64_t stride, float* out, double* norms, std::uint32_t* n_bad,
               cudaStream_t stream);

// The order of a Shuffle.
void shuffled_order(std::int64_t rows, std::int32_t* order, cudaStream_t stream);

// Halves and residuals of unit rows, of row order[i] in place i, where `order` is given; `half` has whole tiles of
// rows. *largest must be zero before.
void half_rows(const UnitRows& unit, const std::int32_t* order, std::int64_t half_stride, __half* half,
               float* residuals, float* largest, cudaStream_t stream);

// first[i] is the lowest row with the bytes of row i. `table` has `slots` places, a power of two above 1.5 * rows;
// *n_distinct, zero before, counts rows that are the first of their kind.
void first_of_identical(const float* unit, std::int64_t rows, std::int64_t stride, std::int32_t* table,
                        std::int64_t slots, std::int32_t* first, std::uint32_t* n_distinct, cudaStream_t stream);

// Row ids[i] of `from` becomes row i of `to`, for rows of `bytes` bytes, a multiple of 16; rows from `count` to `rows`
// become zero.
void gather_rows(const void* from, const std::int32_t* ids, std::int64_t count, std::int64_t rows, std::int64_t bytes,
                 void* to, cudaStream_t stream);

}  // namespace pyredund::cuda
