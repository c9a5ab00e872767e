#include "cuda/memory.hpp"

#include <algorithm>
#include <utility>

#include "cuda/device.hpp"

namespace pyredund::cuda {
namespace {

std::shared_ptr<Memory>& current() {
  thread_local std::shared_ptr<Memory> memory;
  return memory;
}

}  // namespace

UseMemory::UseMemory(std::shared_ptr<Memory> memory) : before_(std::exchange(current(), std::move(memory))) {}

UseMemory::~UseMemory() { current() = std::move(before_); }

std::int64_t room_for_buffers(int device, std::int64_t most) {
  const std::int64_t room = (current() ? current()->room() : facts_of(device).free_bytes) / 10 * 9;
  return most > 0 ? std::min(room, most) : room;
}

Buffer::Buffer(std::int64_t bytes, int device) : memory_(current()), bytes_(bytes), device_(device) {
  const std::int64_t some = std::max<std::int64_t>(bytes, 1);
  if (memory_) {
    data_ = memory_->take(some);
    return;
  }
  const UseDevice use(device);
  PYREDUND_CUDA_CALL(cudaMalloc(&data_, static_cast<std::size_t>(some)));
}

Buffer::~Buffer() {
  if (memory_) {
    memory_->give(data_);
    return;
  }
  int before = 0;
  if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(device_) != cudaSuccess) return;
  cudaFree(data_);  // waits for the device: nothing that runs can still use it
  cudaSetDevice(before);
}

}  // namespace pyredund::cuda
