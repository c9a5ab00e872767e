#include "cuda/device.hpp"

#include <algorithm>

namespace pyredund::cuda {

void check_call(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // a failed call must not make the next one fail too
  std::string name(call);
  name = name.substr(0, name.find('('));
  const std::string text = name + " failed: " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
  if (status == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw CudaError(text);
}

int count_of_devices() {
  int count = 0;
  PYREDUND_CUDA_CALL(cudaGetDeviceCount(&count));
  return count;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();
    return cudaGetErrorString(status);
  }
  return count > 0 ? "" : "no CUDA device was found";
}

std::string name_of(int device) {
  cudaDeviceProp properties{};
  PYREDUND_CUDA_CALL(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

std::vector<std::string> device_names(int most) {
  std::vector<std::string> names;
  for (int device = 0; device < std::min(most, count_of_devices()); ++device) {
    try {
      names.push_back(name_of(device));
    } catch (const CudaError& error) {
      names.push_back(error.what());
    }
  }
  return names;
}

DeviceFacts facts_of(int device) {
  const UseDevice use(device);
  const auto value = [&](cudaDeviceAttr attribute) {
    int found = 0;
    PYREDUND_CUDA_CALL(cudaDeviceGetAttribute(&found, attribute, device));
    return found;
  };
  DeviceFacts facts;
  facts.major = value(cudaDevAttrComputeCapabilityMajor);
  facts.minor = value(cudaDevAttrComputeCapabilityMinor);
  facts.processors = value(cudaDevAttrMultiProcessorCount);
  facts.shared_bytes = value(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  std::size_t free_bytes = 0, total_bytes = 0;
  PYREDUND_CUDA_CALL(cudaMemGetInfo(&free_bytes, &total_bytes));
  facts.free_bytes = static_cast<std::int64_t>(free_bytes);
  facts.total_bytes = static_cast<std::int64_t>(total_bytes);
  return facts;
}

int device_of(std::uintptr_t address) {
  cudaPointerAttributes attributes{};
  PYREDUND_CUDA_CALL(cudaPointerGetAttributes(&attributes, reinterpret_cast<const void*>(address)));
  return attributes.device;
}

UseDevice::UseDevice(int device) {
  PYREDUND_CUDA_CALL(cudaGetDevice(&before_));
  PYREDUND_CUDA_CALL(cudaSetDevice(device));
}

UseDevice::~UseDevice() { cudaSetDevice(before_); }

Stream::Stream(int device) : device_(device) {
  const UseDevice use(device);
  PYREDUND_CUDA_CALL(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
}

Stream::~Stream() {
  int before = 0;
  if (cudaGetDevice(&before) != cudaSuccess || cudaSetDevice(device_) != cudaSuccess) return;
  cudaStreamDestroy(stream_);
  cudaSetDevice(before);
}

void to_host(void* host, const void* device, std::int64_t bytes, cudaStream_t stream) {
  if (bytes > 0) {
    PYREDUND_CUDA_CALL(cudaMemcpyAsync(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream));
  }
  PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream));
}

void to_device(void* device, const void* host, std::int64_t bytes, cudaStream_t stream) {
  if (bytes > 0) {
    PYREDUND_CUDA_CALL(cudaMemcpyAsync(device, host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream));
  }
  PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream));
}

}  // namespace pyredund::cuda
