#include "cuda/tile_scan.hpp"

#include "cuda/exact_score.hpp"
#include "cuda/launch.hpp"
#include "cuda/margin.hpp"
#include "cuda/tile_products.hpp"
#include "cuda/waiting_pairs.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBarBytes = kTile * 4;
static_assert(kTileBytes == ScanShape::kTileBytes && kBarBytes == ScanShape::kBarBytes, "the plan counts on these");
static_assert(kThreads == kBlock, "each thread fetches a row's bar");

// A block takes two tiles of rows with one tile of columns at once: rows stay where there is room, so that columns are
// what comes from far, half as much of it as for a block of one tile of rows. Four of the eight warps have the first
// tile of rows, four the second, and every warp 64 rows and 64 columns. Of the two warps that share a scheduler, one
// has the first tile, one the second.
using Line = float[2 * kColumnParts];  // scores of a thread's columns, or bars

// The place of a warp's scores in the matrix of all pairs.
struct Part {
  std::int32_t row, column;
  bool diagonal;
};

__device__ inline void read_bars(Line& bars, const float* column_bars, int lane) {
#pragma unroll
  for (int i = 0; i < 2 * kColumnParts; ++i) bars[i] = column_bars[i / 2 * 8 + lane % 4 * 2 + i % 2];
}

// A thread's scores of one row, and which of them lie below the row's bar, and which below their column's.
struct Found {
  Line scores;
  unsigned below_row, below_column;
};

// Puts one bit more to the low end: whether a score is below a bar, which is the sign of their difference. Bars may be
// infinite, scores are not; no difference of unequal numbers rounds to zero.
__device__ inline unsigned with_sign(unsigned bits, float score, float bar) {
  return __funnelshift_l(__float_as_uint(score - bar), bits, 1);
}

// Of row `line` of a thread's eight, the same for all threads of a warp. The compiler must know where scores are, or
// all of them would be in memory.
__device__ inline Found find(const Scores& scores, int line, float row_bar, const Line& column_bars) {
  Found found{{}, 0, 0};
#pragma unroll
  for (int l = 0; l < 2 * kRowParts; ++l) {
    if (l != line) continue;
#pragma unroll
    for (int i = 2 * kColumnParts - 1; i >= 0; --i) {
      const float score = scores[l / 2][i / 2][2 * (l % 2) + i % 2];
      found.scores[i] = score;
      found.below_row = with_sign(found.below_row, score, row_bar);
      found.below_column = with_sign(found.below_column, score, column_bars[i]);
    }
  }
  return found;
}

// One of `kCount` scores, by halves; `which` is below 2 * kColumnParts.
template <int kCount>
__device__ inline float pick(const float* scores, int which) {
  if constexpr (kCount == 1) {
    return scores[0];
  } else {
    const float low = pick<kCount / 2>(scores, which), high = pick<kCount / 2>(scores + kCount / 2, which);
    return (which & kCount / 2) != 0 ? high : low;
  }
}

// A pair that reaches its row's bar, its column's, or both; rare.
__device__ inline void offer(const TileScan& scan, std::int32_t row, std::int32_t column, bool diagonal, float score,
                             bool for_row, bool for_column, WaitingPairs& waiting) {
  if (row >= scan.n_rows || column >= scan.n_columns) return;
  if (diagonal && row >= column) return;
  if (scan.own != nullptr && scan.own[row] == scan.column_ids[column]) return;
  const float natural = score * static_cast<float>(1.0 / kScoreScale);
  if (for_row || scan.survivors.pairs != nullptr) waiting.add(scan.survivors, row, column, natural);
  if (for_column && scan.survivors.pairs == nullptr) waiting.add(scan.survivors, column, row, natural);
}

// Tests scores where they are, in registers. One comparison of a row's largest with the lowest of the bars in question
// rules most out.
__device__ inline void test_scores(const TileScan& scan, const Part& part, const Scores& scores, const float* row_bars,
                                   const Line& column_bars, int lane, WaitingPairs& waiting) {
  constexpr int kLine = 2 * kColumnParts;
  float lowest = column_bars[0];
#pragma unroll
  for (int i = 1; i < kLine; ++i) lowest = fminf(lowest, column_bars[i]);
  unsigned mine = 0;
#pragma unroll
  for (int line = 0; line < 2 * kRowParts; ++line) {
    float largest = scores[line / 2][0][2 * (line % 2)];
#pragma unroll
    for (int i = 1; i < kLine; ++i) largest = fmaxf(largest, scores[line / 2][i / 2][2 * (line % 2) + i % 2]);
    if (largest >= fminf(row_bars[line * 8 + lane / 4], lowest)) mine |= 1u << line;
  }
  for (unsigned lines = __reduce_or_sync(kAllThreads, mine); lines != 0; lines &= lines - 1) {
    const int line = __ffs(static_cast<int>(lines)) - 1, r = line * 8 + lane / 4;
    const Found found = find(scores, line, row_bars[r], column_bars);
    if ((mine >> line & 1) == 0) continue;
    unsigned passed = ~(found.below_row & found.below_column) & ((1u << kLine) - 1);
    for (; passed != 0; passed &= passed - 1) {
      const int i = __ffs(static_cast<int>(passed)) - 1, c = i / 2 * 8 + lane % 4 * 2 + i % 2;
      offer(scan, part.row + r, part.column + c, part.diagonal, pick<kLine>(found.scores, i),
            (found.below_row >> i & 1) == 0, (found.below_column >> i & 1) == 0, waiting);
    }
  }
  if (__any_sync(kAllThreads, waiting.count() >= WaitingPairs::kMany)) waiting.hand_on(scan.survivors);
  __syncwarp();  // tensor cores want all threads of a warp together
}

// Shared memory: the bars of the rows; the rows themselves where they stay, both tiles of a chunk and then the next
// chunk; then the stages, each with a tile of columns, their bars, and both tiles of rows where rows do not stay.
__global__ void __launch_bounds__(kThreads, 1) scan_tiles_kernel(const TileScan scan, const ScanShape shape) {
  unsigned char* const shared = shared_memory();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int side = warp / 4, part_row = side * kTile + warp % 4 / 2 * kPart, part_column = warp % 2 * kPart;
  const TileRun run = run_of(scan.span, static_cast<std::int64_t>(blockIdx.x));
  if (run.count == 0) return;
  const std::int32_t steps = run.count * scan.chunks;
  const __half* const own_rows = scan.rows + run.row_block * kBlock * scan.half_stride;

  float* const row_bars = reinterpret_cast<float*>(shared);
  unsigned char* const resident = shared + 2 * kBarBytes;
  unsigned char* const stages = resident + (shape.resident ? scan.chunks * 2 * kTileBytes : 0);
  const int stage_bytes = static_cast<int>(shape.stage_bytes());
  row_bars[threadIdx.x] = scan.row_bars[run.row_block * kBlock + threadIdx.x];
  if (!scan.symmetric) {
    for (int i = static_cast<int>(threadIdx.x); i < shape.stages * kTile; i += kThreads) {
      unsigned char* const bars = stages + i / kTile * stage_bytes + kTileBytes;
      reinterpret_cast<float*>(bars)[i % kTile] = __int_as_float(0x7F800000);  // a column wants none
    }
  }
  const auto fetch_rows = [&](unsigned char* to, int chunk) {
    for (int s = 0; s < 2; ++s) {
      fetch_tile(to + s * kTileBytes, own_rows + s * kTile * scan.half_stride + chunk * kChunk, scan.half_stride,
                 kThreads);
    }
  };
  if (shape.resident) {
    for (int chunk = 0; chunk < scan.chunks; ++chunk) fetch_rows(resident + chunk * 2 * kTileBytes, chunk);
  }

  std::int32_t fetched_step = 0, fetched_tile = 0, fetched_chunk = 0, into = 0;
  const auto fetch_next = [&] {
    if (fetched_step < steps) {
      unsigned char* const stage = stages + into * stage_bytes;
      const std::int64_t first_column = run.column_tile(fetched_tile) * kTile;
      fetch_tile(stage, scan.columns + first_column * scan.half_stride + fetched_chunk * kChunk, scan.half_stride,
                 kThreads);
      if (scan.symmetric && fetched_chunk == scan.chunks - 1 && threadIdx.x < kTile / 4) {
        copy_async(stage + kTileBytes + threadIdx.x * 16, scan.column_bars + first_column + threadIdx.x * 4);
      }
      if (!shape.resident) fetch_rows(stage + kTileBytes + kBarBytes, fetched_chunk);
      ++fetched_step;
      into = into + 1 == shape.stages ? 0 : into + 1;
      if (++fetched_chunk == scan.chunks) {
        fetched_chunk = 0;
        ++fetched_tile;
      }
    }
    close_copies();
  };

  Scores scores;
  Line column_bars;
  WaitingPairs::Places places;
  WaitingPairs waiting(places);
  for (int s = 0; s + 1 < shape.stages; ++s) fetch_next();
  std::int32_t tile = 0, chunk = 0, from = 0;
  bool complete = false;  // the sums of a tile, which is still to be tested
  // Of two warps that share a scheduler, one tests while the other multiplies: that of the second side tests a tile
  // when the next step's has come, before it multiplies that.
  const int turn_to_multiply = side;
  for (std::int32_t step = 0; step <= steps; ++step) {
    if (shape.stages == 2) {
      wait_for_copies<0>();
    } else {
      wait_for_copies<1>();
    }
    __syncthreads();  // this step's stage has come for all threads, and all are done with the one before it
    fetch_next();
#pragma unroll 1
    for (int turn = 0; turn < 2; ++turn) {
      if (turn == turn_to_multiply) {
        if (step == steps) continue;
        const unsigned char* const stage = stages + from * stage_bytes;
        const unsigned char* const rows =
            shape.resident ? resident + chunk * 2 * kTileBytes : stage + kTileBytes + kBarBytes;
        const int slices = chunk + 1 == scan.chunks ? scan.last_slices : static_cast<int>(kChunk / kSlice);
        multiply_chunk(scores, rows + part_row * kRowBytes, stage + part_column * kRowBytes, slices, chunk == 0, lane);
        // Read while the stage is there; those of a chunk that is not the last mean nothing, and are not used.
        read_bars(column_bars, reinterpret_cast<const float*>(stage + kTileBytes) + part_column, lane);
        from = from + 1 == shape.stages ? 0 : from + 1;
        chunk = chunk + 1 == scan.chunks ? 0 : chunk + 1;
        complete = chunk == 0;
      } else if (complete) {
        const std::int64_t columns = run.column_tile(tile++);
        const Part part{static_cast<std::int32_t>(run.row_block * kBlock) + part_row,
                        static_cast<std::int32_t>(columns * kTile) + part_column,
                        scan.symmetric && columns / 2 == run.row_block};
        test_scores(scan, part, scores, row_bars + part_row, column_bars, lane, waiting);
        complete = false;
      }
    }
  }
  waiting.hand_on(scan.survivors);
}

}  // namespace

void prepare_scan(std::int64_t shared_bytes) {
  PYREDUND_CUDA_CALL(cudaFuncSetAttribute(scan_tiles_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(shared_bytes)));
}

void scan_tiles(TileScan scan, const ScanShape& shape, cudaStream_t stream) {
  launch(scan_tiles_kernel, blocks_of(scan.span), kThreads, shape.shared_bytes(), stream, scan, shape);
}

}  // namespace pyredund::cuda
