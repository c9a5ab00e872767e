#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pyredund::cuda {

// As cpu::in_units: a similarity in units of 2^-32, ties to even. The product is exact.
__device__ inline std::int64_t in_units(float similarity) {
  return __double2ll_rn(static_cast<double>(similarity) * 4294967296.0);
}

}  // namespace pyredund::cuda
