#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace pyredund::cuda {

// A call of CUDA's that failed: its name and CUDA's own text.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class OutOfMemory : public CudaError {
 public:
  using CudaError::CudaError;
};

void check_call(cudaError_t status, const char* call);
#define PYREDUND_CUDA_CALL(call) ::pyredund::cuda::check_call((call), #call)

int count_of_devices();

// Empty if there is a device; otherwise what CUDA says: no driver, one that is too old, or no device.
std::string why_no_device();

// Can take long: CUDA gathers all that is known of a device for it.
std::string name_of(int device);
// Of the first devices, for people: where a name is not to be had, what CUDA says.
std::vector<std::string> device_names(int most);

struct DeviceFacts {
  int major = 0, minor = 0;
  int processors = 0;
  std::int64_t shared_bytes = 0;  // that one block may take
  std::int64_t free_bytes = 0, total_bytes = 0;
};
DeviceFacts facts_of(int device);

// The device on which an address lies.
int device_of(std::uintptr_t address);

// Makes a device current for this thread, and the one before it afterwards.
class UseDevice {
 public:
  explicit UseDevice(int device);
  ~UseDevice();
  UseDevice(const UseDevice&) = delete;
  UseDevice& operator=(const UseDevice&) = delete;

 private:
  int before_ = 0;
};

class Event {
 public:
  Event() { PYREDUND_CUDA_CALL(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { PYREDUND_CUDA_CALL(cudaEventRecord(event_, stream)); }
  void wait() { PYREDUND_CUDA_CALL(cudaEventSynchronize(event_)); }

 private:
  cudaEvent_t event_ = nullptr;
};

// A stream of our own, for data that comes from the host.
class Stream {
 public:
  explicit Stream(int device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
  int device_;
};

// Waits for the stream.
void to_host(void* host, const void* device, std::int64_t bytes, cudaStream_t stream);
void to_device(void* device, const void* host, std::int64_t bytes, cudaStream_t stream);

}  // namespace pyredund::cuda
