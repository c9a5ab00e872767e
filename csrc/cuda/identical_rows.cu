#include "cuda/device_rows.hpp"
#include "cuda/exact_score.hpp"
#include "cuda/launch.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline std::uint64_t hash_row(const float* row, std::int64_t stride) {
  std::uint64_t hash = 0x9E3779B97F4A7C15u;
  for (std::int64_t i = 0; i < stride; i += 2) {
    const std::uint64_t two = __float_as_uint(row[i]) | static_cast<std::uint64_t>(__float_as_uint(row[i + 1])) << 32;
    hash = (hash ^ two) * 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 32;
  }
  return hash;
}

__device__ inline bool same_bytes(const float* x, const float* y, std::int64_t stride) {
  for (std::int64_t i = 0; i < stride; ++i) {
    if (__float_as_uint(x[i]) != __float_as_uint(y[i])) return false;
  }
  return true;
}

__global__ void clear_kernel(std::int32_t* table, std::int64_t slots) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < slots) table[i] = -1;
}

// Open addressing. A slot, once taken, always holds a row of the same bytes, the lowest of those that have come by; so
// which row takes it first does not matter. place[i] is the slot of row i.
__global__ void insert_kernel(const float* unit, std::int64_t rows, std::int64_t stride, std::int32_t* table,
                              std::int64_t slots, std::int32_t* place) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  const auto row = static_cast<std::int32_t>(i);
  const float* const x = unit + i * stride;
  auto slot = static_cast<std::int64_t>(hash_row(x, stride) & static_cast<std::uint64_t>(slots - 1));
  for (;; slot = (slot + 1) & (slots - 1)) {
    const std::int32_t there = atomicCAS(table + slot, -1, row);
    if (there == -1) break;
    if (same_bytes(x, unit + there * stride, stride)) {
      atomicMin(table + slot, row);
      break;
    }
  }
  place[i] = static_cast<std::int32_t>(slot);
}

__global__ void first_kernel(const std::int32_t* table, std::int64_t rows, std::int32_t* first,
                             std::uint32_t* n_distinct) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  bool own = false;
  if (i < rows) {
    first[i] = table[first[i]];  // held the slot
    own = first[i] == static_cast<std::int32_t>(i);
  }
  const unsigned owners = __ballot_sync(kAllThreads, own);
  if (threadIdx.x % 32 == 0 && owners != 0) atomicAdd(n_distinct, static_cast<std::uint32_t>(__popc(owners)));
}

__global__ void gather_kernel(const uint4* from, const std::int32_t* ids, std::int64_t count, std::int64_t rows,
                              std::int64_t quads, uint4* to) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rows * quads) return;
  const std::int64_t row = i / quads, quad = i % quads;
  to[i] = row < count ? from[ids[row] * quads + quad] : make_uint4(0, 0, 0, 0);
}

}  // namespace

void first_of_identical(const float* unit, std::int64_t rows, std::int64_t stride, std::int32_t* table,
                        std::int64_t slots, std::int32_t* first, std::uint32_t* n_distinct, cudaStream_t stream) {
  if (slots <= rows || slots > 0x80000000 || (slots & (slots - 1)) != 0) throw std::logic_error("not so many slots");
  launch(clear_kernel, blocks_for(slots, kThreads), kThreads, 0, stream, table, slots);
  launch(insert_kernel, blocks_for(rows, kThreads), kThreads, 0, stream, unit, rows, stride, table, slots, first);
  launch(first_kernel, blocks_for(rows, kThreads), kThreads, 0, stream, static_cast<const std::int32_t*>(table), rows,
         first, n_distinct);
}

void gather_rows(const void* from, const std::int32_t* ids, std::int64_t count, std::int64_t rows, std::int64_t bytes,
                 void* to, cudaStream_t stream) {
  const std::int64_t quads = bytes / 16;
  launch(gather_kernel, blocks_for(rows * quads, kThreads), kThreads, 0, stream, static_cast<const uint4*>(from), ids,
         count, rows, quads, static_cast<uint4*>(to));
}

}  // namespace pyredund::cuda
