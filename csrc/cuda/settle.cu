#include "cuda/settle.hpp"

#include "cuda/exact_score.hpp"
#include "cuda/instructions.hpp"
#include "cuda/launch.hpp"
#include "cuda/margin.hpp"
#include "cuda/pair_key.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 128;

__device__ inline float infinity() { return __int_as_float(0x7F800000); }

__global__ void begin_kernel(const Held held, const Bars bars, std::int64_t rows, std::int64_t all_rows) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row < all_rows) bars.bars[row] = row < rows ? -infinity() : infinity();
  if (row >= rows) return;
  held.counts[row] = 0;
  held.held[row] = 0;
}

// One block a row.
__global__ void settle_kernel(const UnitRows rows, const UnitRows columns, const Held held, const Bars bars, int k,
                              const Lost lost) {
  const std::int64_t row = blockIdx.x;
  const std::uint32_t came = held.counts[row];
  const int settled = static_cast<int>(held.held[row]);
  if (static_cast<std::int64_t>(came) == settled) return;
  auto* const keys = reinterpret_cast<std::uint64_t*>(shared_memory());
  std::uint64_t* const own = held.keys + row * held.capacity;
  const int count = static_cast<int>(came < held.capacity ? came : held.capacity);
  int places = 32;
  while (places < count) places *= 2;
  const float* const x = rows.data + row * rows.stride;
  for (int first = settled / 32 * 32; first < places; first += kThreads / 8) {
    const int i = first + static_cast<int>(threadIdx.x) / 8;  // eight threads score one pair
    const bool fresh = i >= settled && i < count;
    const std::int32_t id = fresh ? pair_id(own[i]) : 0;
    const float score = exact_score(x, columns.data + id * rows.stride, rows.stride);
    if (threadIdx.x % 8 == 0 && i < places) keys[i] = fresh ? pack_pair(id, score) : i < settled ? own[i] : 0;
  }
  for (int i = static_cast<int>(threadIdx.x); i < settled / 32 * 32; i += kThreads) keys[i] = own[i];
  sort_descending(keys, places);
  const int kept = min(count, k);
  for (int i = static_cast<int>(threadIdx.x); i < kept; i += kThreads) own[i] = keys[i];
  if (threadIdx.x != 0) return;
  held.counts[row] = static_cast<std::uint32_t>(kept);
  held.held[row] = static_cast<std::uint32_t>(kept);
  if (came > held.capacity) {
    lost.rows[atomicAdd(lost.count, 1u)] = static_cast<std::int32_t>(row);
    bars.bars[row] = infinity();
  } else if (kept == k) {
    const double margin = margin_of(bars.residuals[row], *bars.largest_other, bars.dim);
    bars.bars[row] = __double2float_rd((static_cast<double>(pair_score(keys[k - 1])) - margin) * kScoreScale);
  }
}

__global__ void write_kernel(const Held held, std::int64_t rows, const std::int32_t* to, const Lists lists) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= rows * lists.k) return;
  const std::int64_t row = i / lists.k, place = i % lists.k;
  const std::int64_t at = (to != nullptr ? to[row] : row) * lists.k + place;
  const std::uint64_t key = held.keys[row * held.capacity + place];
  lists.ids[at] = pair_id(key);
  lists.similarities[at] = pair_score(key);
}

}  // namespace

void begin_lists(const Held& held, const Bars& bars, std::int64_t rows, std::int64_t all_rows, cudaStream_t stream) {
  launch(begin_kernel, blocks_for(all_rows, kThreads), kThreads, 0, stream, held, bars, rows, all_rows);
}

void settle(const UnitRows& rows, const UnitRows& columns, const Held& held, const Bars& bars, std::int64_t k,
            const Lost& lost, cudaStream_t stream) {
  launch(settle_kernel, rows.rows, kThreads, held.capacity * 8, stream, rows, columns, held, bars, static_cast<int>(k),
         lost);
}

void write_lists(const Held& held, std::int64_t rows, const std::int32_t* to, const Lists& lists, cudaStream_t stream) {
  launch(write_kernel, blocks_for(rows * lists.k, kThreads), kThreads, 0, stream, held, rows, to, lists);
}

}  // namespace pyredund::cuda
