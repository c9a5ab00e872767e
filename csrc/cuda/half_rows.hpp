#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device.hpp"
#include "cuda/device_rows.hpp"
#include "cuda/memory.hpp"

namespace pyredund::cuda {

// Halves of unit rows, in this order or in their own, in whole blocks and chunks, and their residuals.
struct HalfRows {
  HalfRows(const UnitRows& unit, const std::int32_t* order, int device, cudaStream_t stream)
      : stride(rounded_up(unit.stride, kChunk)),
        halves(rounded_up(unit.rows, kBlock) * stride * 2, device),
        residuals(unit.rows * 4, device),
        largest(4, device) {
    PYREDUND_CUDA_CALL(cudaMemsetAsync(largest.data(), 0, 4, stream));
    half_rows(unit, order, stride, data(), static_cast<float*>(residuals.data()), static_cast<float*>(largest.data()),
              stream);
  }
  __half* data() const { return static_cast<__half*>(halves.data()); }

  std::int64_t stride;
  Buffer halves, residuals, largest;
};

}  // namespace pyredund::cuda
