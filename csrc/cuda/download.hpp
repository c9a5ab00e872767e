#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "watch.hpp"

namespace pyredund::cuda {

// Copies from the current device to host memory, after what the stream has been asked to do. CUDA's own copy to memory
// that is not pinned is carried by one thread; of much memory, pieces go to pinned buffers here, from where several
// threads carry them on.
void download(void* host, const void* device, std::int64_t bytes, cudaStream_t stream, const Watch& watch);

}  // namespace pyredund::cuda
