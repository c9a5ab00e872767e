#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/memory.hpp"
#include "cuda/upload.hpp"

namespace pyredund::cuda {

// Arrays on a device that live as long as this.
class DeviceArrays {
 public:
  DeviceArrays(int device, cudaStream_t stream, const Watch& watch) : device_(device), stream_(stream), watch_(watch) {}

  template <typename T>
  T* room_for(std::int64_t count) {
    buffers_.push_back(std::make_unique<Buffer>(count * static_cast<std::int64_t>(sizeof(T)), device_));
    return static_cast<T*>(buffers_.back()->data());
  }

  // A copy of the host's.
  template <typename T>
  const T* sent(const T* from, std::int64_t count) {
    T* const to = room_for<T>(count);
    upload(from, count * static_cast<std::int64_t>(sizeof(T)), to, stream_, watch_);
    return to;
  }

 private:
  int device_;
  cudaStream_t stream_;
  const Watch& watch_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace pyredund::cuda
