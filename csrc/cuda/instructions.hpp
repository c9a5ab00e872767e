#pragma once

// The few instructions that CUDA C++ has no words for. Everything else in this folder is plain C++ with CUDA's
// keywords, so that tests can run the kernels on a CPU with another file in this one's place.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace pyredund::cuda {

// The block's dynamic shared memory.
__device__ inline unsigned char* shared_memory() {
  extern __shared__ __align__(128) unsigned char pyredund_shared[];
  return pyredund_shared;
}

// Starts to copy 16 bytes from global to shared memory, both aligned to 16.
__device__ inline void copy_async(void* to, const void* from) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(address), "l"(from) : "memory");
}

// Closes a group of copies, which may be empty.
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Waits until at most `kOpen` of this thread's latest groups are under way.
template <int kOpen>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kOpen) : "memory");
}

// Four 8 x 8 matrices of halves: thread 8 m + r gives the address of row r of matrix m (16 bytes), and part[m] of
// thread t receives coordinates 2 (t % 4) and 2 (t % 4) + 1 of row t / 4 of matrix m. For all threads of a warp.
__device__ inline void load_matrices(std::uint32_t (&part)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(part[0]), "=r"(part[1]), "=r"(part[2]), "=r"(part[3])
               : "r"(address)
               : "memory");
}

// sum += a b^T for a (16 x 16), b (8 x 16), sum (16 x 8). Thread t holds, with r = t / 4 and c = 2 (t % 4): of a the
// coordinates c, c + 1 of rows r and r + 8, then c + 8, c + 9 of the same; of b coordinates c, c + 1, then c + 8, c + 9
// of row r; of the sum columns c, c + 1 of row r, then of row r + 8. For all threads of a warp.
__device__ inline void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The same with a sum of zero before.
__device__ inline void multiply(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %10, %10, %10};\n"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

}  // namespace pyredund::cuda
