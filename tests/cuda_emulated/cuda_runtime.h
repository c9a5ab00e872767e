#pragma once

// As much of CUDA as pyredund's kernels use, on one thread of a CPU: for tests of their logic where there is no GPU.
// Device memory is the heap, and starts as NaN; streams do at once what they are asked to; see fibers.hpp for threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "fibers.hpp"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };
using cudaStream_t = void*;
using cudaEvent_t = void*;

struct dim3 {
  dim3(unsigned count = 1) : x(count) {}
  unsigned x;
};
struct alignas(16) uint4 {
  std::uint32_t x, y, z, w;
};
inline uint4 make_uint4(std::uint32_t x, std::uint32_t y, std::uint32_t z, std::uint32_t w) { return {x, y, z, w}; }
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
namespace emulated {
inline std::size_t setting(const char* name, std::size_t usual) {
  const char* const value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : usual;
}
}  // namespace emulated

struct cudaDeviceProp {
  char name[64] = "one thread of a CPU";
};
enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrMaxSharedMemoryPerBlockOptin
};
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const auto shared = static_cast<int>(emulated::setting("PYREDUND_EMULATED_SHARED", emulated::kSharedBytes));
  const int values[] = {9, 0, 2, shared};
  return *value = values[attribute], cudaSuccess;
}

namespace emulated {
// The heap, of which each device has so much.
struct Memory {
  struct Piece {
    std::size_t bytes;
    int device;
  };
  std::mutex mutex;
  std::map<void*, Piece> pieces;
  std::map<int, std::size_t> taken;
  static std::size_t size() { return setting("PYREDUND_EMULATED_BYTES", std::size_t{1} << 26); }
};
inline Memory memory;
// Shared memory that kernels may take: a setting of the process, for each device.
inline std::map<std::pair<int, const void*>, std::size_t> allowed_shared;
inline thread_local int device = 0;  // the current one
}  // namespace emulated

inline thread_local dim3 blockIdx, blockDim, gridDim;

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : emulated::failure().c_str();
}
inline const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "emulated";
}
inline cudaError_t cudaGetDeviceCount(int* count) {
  return *count = static_cast<int>(emulated::setting("PYREDUND_EMULATED_DEVICES", 1)), cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) { return *device = emulated::device, cudaSuccess; }
inline cudaError_t cudaSetDevice(int device) {
  int count = 0;
  cudaGetDeviceCount(&count);
  if (device < 0 || device >= count) return cudaErrorInvalidValue;
  return emulated::device = device, cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) { return *properties = {}, cudaSuccess; }
struct cudaPointerAttributes {
  int device = 0;
};
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes*, const void*) { return cudaSuccess; }
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, int) { return *stream = nullptr, cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, int) { return *event = nullptr, cudaSuccess; }
inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

inline cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  const std::lock_guard<std::mutex> lock(emulated::memory.mutex);
  *total_bytes = emulated::Memory::size();
  *free_bytes = *total_bytes - std::min(*total_bytes, emulated::memory.taken[emulated::device]);
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(emulated::memory.mutex);
  std::size_t& taken = emulated::memory.taken[emulated::device];
  if (taken + bytes > emulated::Memory::size()) return cudaErrorMemoryAllocation;
  *data = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*data, 0xFF, bytes);
  emulated::memory.pieces[*data] = {bytes, emulated::device};
  taken += bytes;
  return cudaSuccess;
}

inline cudaError_t cudaFree(void* data) {
  if (data == nullptr) return cudaSuccess;
  const std::lock_guard<std::mutex> lock(emulated::memory.mutex);
  const auto piece = emulated::memory.pieces.at(data);
  emulated::memory.taken[piece.device] -= piece.bytes;
  emulated::memory.pieces.erase(data);
  std::free(data);
  return cudaSuccess;
}

inline cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  return (*data = std::malloc(bytes)) != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeHost(void* data) { return std::free(data), cudaSuccess; }

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  return std::memset(to, value, bytes), cudaSuccess;
}

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  if (bytes > emulated::kSharedBytes) return cudaErrorInvalidValue;
  const std::lock_guard<std::mutex> lock(emulated::memory.mutex);
  emulated::allowed_shared[{emulated::device, reinterpret_cast<const void*>(kernel)}] = static_cast<std::size_t>(bytes);
  return cudaSuccess;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* shape, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  std::size_t allowed = 48 << 10;
  {
    const std::lock_guard<std::mutex> lock(emulated::memory.mutex);
    const auto found = emulated::allowed_shared.find({emulated::device, reinterpret_cast<const void*>(kernel)});
    if (found != emulated::allowed_shared.end()) allowed = found->second;
  }
  if (shape->dynamicSmemBytes > allowed || shape->blockDim.x > emulated::kMostThreads || shape->blockDim.x % 32 != 0) {
    emulated::failure() = "a launch that no device takes";
    return cudaErrorInvalidValue;
  }
  blockDim = shape->blockDim;
  gridDim = shape->gridDim;
  for (unsigned block = 0; block < shape->gridDim.x; ++block) {
    blockIdx = dim3(block);
    const auto thread = [&] { kernel(static_cast<Parameters>(arguments)...); };
    if (!emulated::run_block(shape->blockDim.x, shape->dynamicSmemBytes, thread)) return cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}

inline void __syncthreads() { emulated::wait_for_block(); }
inline void __syncwarp() { emulated::exchange(0); }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int lanes) {
  return emulated::exchange(value)[(threadIdx.x % 32) ^ static_cast<unsigned>(lanes)];
}
inline unsigned __ballot_sync(unsigned, bool vote) {
  const auto votes = emulated::exchange(static_cast<int>(vote));
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) result |= static_cast<unsigned>(votes[lane]) << lane;
  return result;
}
inline int __any_sync(unsigned threads, bool vote) { return __ballot_sync(threads, vote) != 0; }
inline unsigned __reduce_or_sync(unsigned, unsigned value) {
  const auto values = emulated::exchange(value);
  unsigned all = 0;
  for (unsigned lane = 0; lane < 32; ++lane) all |= values[lane];
  return all;
}

template <typename To, typename From>
To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits of another size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
inline std::uint32_t __float_as_uint(float x) { return same_bits<std::uint32_t>(x); }
inline int __float_as_int(float x) { return same_bits<int>(x); }
inline float __uint_as_float(std::uint32_t x) { return same_bits<float>(x); }
inline float __int_as_float(int x) { return same_bits<float>(x); }
// Compiled with -ffp-contract=off and the rounding of the processor, to nearest.
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __dsqrt_rn(double x) { return std::sqrt(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
inline float __double2float_ru(double x) {
  const auto near = static_cast<float>(x);
  return near < x ? std::nextafter(near, INFINITY) : near;
}
inline float __double2float_rd(double x) { return -__double2float_ru(-x); }
inline long long __double2ll_rn(double x) { return std::llrint(x); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
  return by == 0 ? high : high << by | low >> (32 - by);
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
using std::isfinite;
using std::isinf;
using std::max;
using std::min;

template <typename T, typename U>
T atomicAdd(T* at, U value) {
  const T before = *at;
  *at = before + static_cast<T>(value);
  return before;
}
inline int atomicMax(int* at, int value) {
  const int before = *at;
  *at = std::max(before, value);
  return before;
}
inline int atomicMin(int* at, int value) {
  const int before = *at;
  *at = std::min(before, value);
  return before;
}
inline int atomicCAS(int* at, int expected, int value) {
  const int before = *at;
  if (before == expected) *at = value;
  return before;
}
