#include "cuda/pair_scores.hpp"

#include "cuda/exact_score.hpp"
#include "cuda/launch.hpp"
#include "cuda/margin.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kAtOnce = kThreads / 8;  // pairs: eight threads score one

__device__ inline bool is_zero(const float* row, std::int64_t stride) {
  for (std::int64_t i = 0; i < stride; ++i) {
    if (row[i] != 0.0f) return false;
  }
  return true;
}

__global__ void pair_bars_kernel(const UnitRows rows, bool self_join, const Bars bars, std::int64_t all_rows,
                                 double threshold) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= all_rows) return;
  bars.bars[row] = __int_as_float(0x7F800000);
  if (row >= rows.rows) return;
  // A zero row scores 0 with every row, but is similar, by 1, to a zero row; no two rows of a self-join are that.
  if (!self_join && is_zero(rows.data + row * rows.stride, rows.stride)) {
    bars.bars[row] = __int_as_float(static_cast<int>(0xFF800000));
    return;
  }
  const double margin = margin_of(bars.residuals[row], *bars.largest_other, bars.dim);
  bars.bars[row] = __double2float_rd((threshold - margin) * kScoreScale);
}

__global__ void score_pairs_kernel(const UnitRows rows, const UnitRows columns, Pair* pairs, std::int64_t count) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kAtOnce + threadIdx.x / 8;
  Pair& pair = pairs[at < count ? at : 0];  // all threads of a warp have to score together
  const float score =
      exact_score(rows.data + pair.row * rows.stride, columns.data + pair.column * rows.stride, rows.stride);
  if (at < count && threadIdx.x % 8 == 0) pair.score = score;
}

// One block a row.
__global__ void plain_pairs_kernel(const UnitRows rows, std::int64_t first, const UnitRows columns, bool self_join,
                                   double threshold, const Survivors to) {
  const std::int64_t row = first + blockIdx.x;
  const float* const x = rows.data + row * rows.stride;
  for (std::int64_t start = self_join ? row + 1 : 0; start < columns.rows; start += kAtOnce) {
    const std::int64_t column = start + threadIdx.x / 8;
    const bool there = column < columns.rows;
    const float score = exact_score(x, columns.data + (there ? column : 0) * rows.stride, rows.stride);
    if (!there || threadIdx.x % 8 != 0 || static_cast<double>(score) < threshold) continue;
    const unsigned long long at = atomicAdd(to.n_pairs, 1ull);
    if (at < static_cast<unsigned long long>(to.capacity)) {
      to.pairs[at] = Pair{static_cast<std::int32_t>(row), static_cast<std::int32_t>(column), score};
    }
  }
}

}  // namespace

void pair_bars(const UnitRows& rows, bool self_join, const Bars& bars, std::int64_t all_rows, double threshold,
               cudaStream_t stream) {
  launch(pair_bars_kernel, blocks_for(all_rows, kThreads), kThreads, 0, stream, rows, self_join, bars, all_rows,
         threshold);
}

void score_pairs(const UnitRows& rows, const UnitRows& columns, Pair* pairs, std::int64_t count, cudaStream_t stream) {
  launch(score_pairs_kernel, blocks_for(count, kAtOnce), kThreads, 0, stream, rows, columns, pairs, count);
}

void plain_pairs(const UnitRows& rows, std::int64_t first, std::int64_t count, const UnitRows& columns, bool self_join,
                 double threshold, const Survivors& to, cudaStream_t stream) {
  launch(plain_pairs_kernel, count, kThreads, 0, stream, rows, first, columns, self_join, threshold, to);
}

}  // namespace pyredund::cuda
