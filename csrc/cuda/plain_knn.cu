#include "cuda/plain_knn.hpp"

#include "cuda/exact_score.hpp"
#include "cuda/instructions.hpp"
#include "cuda/launch.hpp"
#include "cuda/pair_key.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = kThreads / 8;  // columns: eight threads score one
constexpr int kKeys = 2 * static_cast<int>(kPlainTake);
constexpr int kSharedBytes = kKeys * 8 + 16;

// One block a row. Keys above the bar, that of the last place, gather in shared memory until it is full.
__global__ void plain_knn_kernel(const UnitRows rows, std::int64_t first, const Columns columns, const Lists lists,
                                 std::int64_t from, int take) {
  auto* const keys = reinterpret_cast<std::uint64_t*>(shared_memory());
  std::uint64_t* const bar = keys + kKeys;
  int* const n_keys = reinterpret_cast<int*>(bar + 1);
  const std::int64_t row = first + blockIdx.x;
  const std::int64_t own = columns.own != nullptr ? columns.own[row] : columns.self_join ? row : -1;
  const float* const x = rows.data + row * rows.stride;
  const std::int64_t before = row * lists.k + from - 1;
  const std::uint64_t ceiling =
      from > 0 ? pack_pair(lists.ids[before], lists.similarities[before]) : ~static_cast<std::uint64_t>(0);
  if (threadIdx.x == 0) {
    *bar = 0;
    *n_keys = 0;
  }
  const auto keep_best = [&] {
    for (int i = *n_keys + static_cast<int>(threadIdx.x); i < kKeys; i += kThreads) keys[i] = 0;
    sort_descending(keys, kKeys);
    if (threadIdx.x == 0) {
      *n_keys = min(*n_keys, take);
      *bar = keys[take - 1];
    }
    __syncthreads();
  };
  __syncthreads();
  for (std::int64_t start = 0; start < columns.rows.rows; start += kAtOnce) {
    const std::int64_t column = start + threadIdx.x / 8;
    const bool there = column < columns.rows.rows;
    const float score = exact_score(x, columns.rows.data + (there ? column : 0) * rows.stride, rows.stride);
    if (there && column != own && threadIdx.x % 8 == 0) {
      const std::uint64_t key = pack_pair(static_cast<std::int32_t>(column), score);
      if (key < ceiling && key > *bar) keys[atomicAdd(n_keys, 1)] = key;
    }
    __syncthreads();
    const bool full = *n_keys + kAtOnce > kKeys;
    __syncthreads();  // all have read the count before it changes
    if (full) keep_best();
  }
  keep_best();
  for (int i = static_cast<int>(threadIdx.x); i < take; i += kThreads) {
    lists.ids[row * lists.k + from + i] = pair_id(keys[i]);
    lists.similarities[row * lists.k + from + i] = pair_score(keys[i]);
  }
}

}  // namespace

void plain_knn(const UnitRows& rows, std::int64_t first, std::int64_t count, const Columns& columns, const Lists& lists,
               std::int64_t from, std::int64_t take, cudaStream_t stream) {
  launch(plain_knn_kernel, count, kThreads, kSharedBytes, stream, rows, first, columns, lists, from,
         static_cast<int>(take));
}

}  // namespace pyredund::cuda
