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
  bars.floors[row] = -infinity();
}

// The best of a row's pairs in order, the first `settled` of which are so already. For all threads of a block.
__device__ inline void sort_pairs(const float* x, const UnitRows& columns, const std::int32_t* ids, std::uint64_t* own,
                                  int settled, int count, int kept, std::uint64_t* keys) {
  constexpr int kAtOnce = kThreads / 8;  // pairs: eight threads score one
  int places = 32;
  while (places < count) places *= 2;
  const int first = settled / kAtOnce * kAtOnce, last = (count + kAtOnce - 1) / kAtOnce * kAtOnce;
  for (int at = first; at < last; at += kAtOnce) {
    const int i = at + static_cast<int>(threadIdx.x) / 8;
    const bool fresh = i >= settled && i < count;
    std::int32_t id = fresh ? pair_id(own[i]) : 0;
    if (fresh && ids != nullptr) id = ids[id];
    const float score = exact_score(x, columns.data + id * columns.stride, columns.stride);
    if (threadIdx.x % 8 == 0) keys[i] = fresh ? pack_pair(id, score) : i < settled ? own[i] : 0;
  }
  for (int i = static_cast<int>(threadIdx.x); i < first; i += kThreads) keys[i] = own[i];
  for (int i = last + static_cast<int>(threadIdx.x); i < places; i += kThreads) keys[i] = 0;
  sort_descending(keys, places);
  for (int i = static_cast<int>(threadIdx.x); i < kept; i += kThreads) own[i] = keys[i];
}

// One block a row.
__global__ void settle_kernel(const UnitRows rows, const UnitRows columns, const Places places, const Held held,
                              const Bars bars, const Keep keep, const Lost lost) {
  const std::int64_t row = blockIdx.x;
  const std::uint32_t came = held.counts[row];
  const int settled = static_cast<int>(held.held[row]);
  const bool is_lost = isinf(bars.bars[row]) && bars.bars[row] > 0.0f;
  if (is_lost || (!keep.last && static_cast<std::int64_t>(came) == settled)) return;
  auto* const keys = reinterpret_cast<std::uint64_t*>(shared_memory());
  std::uint64_t* const own = held.keys + row * held.capacity;
  const std::int32_t number = places.rows != nullptr ? places.rows[row] : static_cast<std::int32_t>(row);
  const int count = static_cast<int>(came < held.capacity ? came : held.capacity), kept = min(count, keep.k);
  if (count > settled) {
    sort_pairs(rows.data + number * rows.stride, columns, places.columns, own, settled, count, kept, keys);
  }
  if (threadIdx.x != 0) return;
  held.counts[row] = static_cast<std::uint32_t>(kept);
  held.held[row] = static_cast<std::uint32_t>(kept);
  const auto similarity = [&](int rank) { return pair_score(count > settled ? keys[rank - 1] : own[rank - 1]); };
  float floor = bars.floors[row];
  if (kept >= keep.rank) floor = fmaxf(floor, similarity(keep.rank));
  const bool complete = kept == keep.k && similarity(keep.k) >= floor;
  if (came > held.capacity || (keep.last && !complete)) {
    lost.rows[atomicAdd(lost.count, 1u)] = number;
    bars.bars[row] = infinity();
  } else if (kept >= keep.rank) {
    const double margin = margin_of(bars.residuals[row], *bars.largest_other, bars.dim);
    bars.floors[row] = floor;
    bars.bars[row] = __double2float_rd((static_cast<double>(floor) - margin) * kScoreScale);
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

void settle(const UnitRows& rows, const UnitRows& columns, const Places& places, const Held& held, const Bars& bars,
            const Keep& keep, const Lost& lost, cudaStream_t stream) {
  launch(settle_kernel, rows.rows, kThreads, held.capacity * 8, stream, rows, columns, places, held, bars, keep, lost);
}

void write_lists(const Held& held, std::int64_t rows, const std::int32_t* to, const Lists& lists, cudaStream_t stream) {
  launch(write_kernel, blocks_for(rows * lists.k, kThreads), kThreads, 0, stream, held, rows, to, lists);
}

}  // namespace pyredund::cuda
