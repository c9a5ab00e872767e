#pragma once

#include <cstdint>
#include <memory>

namespace pyredund::cuda {

// An allocator of device memory that somebody else keeps, such as torch's: what it has cached would be out of CUDA's
// reach. Memory is for the caller's stream, and may be given back while that stream still uses it.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* take(std::int64_t bytes) = 0;  // throws OutOfMemory
  virtual void give(void* data) noexcept = 0;
  virtual std::int64_t room() = 0;  // bytes that could be taken, about
};

// Buffers that this thread makes meanwhile come from `memory`; from CUDA where it is null.
class UseMemory {
 public:
  explicit UseMemory(std::shared_ptr<Memory> memory);
  ~UseMemory();
  UseMemory(const UseMemory&) = delete;
  UseMemory& operator=(const UseMemory&) = delete;

 private:
  std::shared_ptr<Memory> before_;
};

// Bytes that this thread's buffers should take at most: nine tenths of what there is, and no more than `most`, where
// that is not 0.
std::int64_t room_for_buffers(int device, std::int64_t most);

// Memory on a device, with whatever it held before.
class Buffer {
 public:
  Buffer(std::int64_t bytes, int device);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Memory> memory_;
  void* data_ = nullptr;
  std::int64_t bytes_;
  int device_;
};

}  // namespace pyredund::cuda
