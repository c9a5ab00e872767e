#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "cuda/device.hpp"

namespace pyredund::cuda {

// Starts a kernel with this many blocks and threads a block, and reports what the launch says of it.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), std::int64_t blocks, int threads, std::int64_t shared_bytes,
            cudaStream_t stream, Arguments&&... arguments) {
  if (blocks == 0) return;
  if (blocks > 0x7FFFFFFF) throw std::logic_error("more blocks than a launch may have");
  cudaLaunchConfig_t shape{};
  shape.gridDim = dim3(static_cast<unsigned>(blocks));
  shape.blockDim = dim3(static_cast<unsigned>(threads));
  shape.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  shape.stream = stream;
  PYREDUND_CUDA_CALL(cudaLaunchKernelEx(&shape, kernel, std::forward<Arguments>(arguments)...));
}

inline std::int64_t blocks_for(std::int64_t count, std::int64_t each) { return (count + each - 1) / each; }

}  // namespace pyredund::cuda
