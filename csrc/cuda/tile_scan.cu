#include "cuda/tile_scan.hpp"

#include "cuda/device_rows.hpp"
#include "cuda/instructions.hpp"
#include "cuda/launch.hpp"
#include "cuda/margin.hpp"
#include "cuda/pair_key.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowBytes = static_cast<int>(kChunk) * 2;  // of a chunk in shared memory
constexpr int kTileBytes = kTile * kRowBytes;
constexpr int kBarBytes = kTile * 4;
static_assert(kTileBytes == ScanShape::kTileBytes && kBarBytes == ScanShape::kBarBytes, "the plan counts on these");

// A block takes one tile of rows with two tiles of columns at once: four of its eight warps have one of them each, and
// every warp 64 rows and 64 columns.
constexpr int kPart = 64;
constexpr int kRowParts = kPart / 16, kColumnParts = kPart / 8;
using Scores = float[kRowParts][kColumnParts][4];

// Where 16 bytes lie: groups of a row are exchanged so that eight rows' same group is in eight different banks.
__device__ inline int place_of(int row, int group) { return row * kRowBytes + ((group ^ (row & 7)) << 4); }

__device__ inline void fetch_tile(unsigned char* to, const __half* from, std::int64_t stride) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * 8; i += kThreads) {
    const int row = i >> 3, group = i & 7;
    copy_async(to + place_of(row, group), from + row * stride + group * 8);
  }
}

__device__ inline void multiply_slice(Scores& scores, const unsigned char* rows, const unsigned char* columns,
                                      int slice, int lane) {
  std::uint32_t a[kRowParts][4];
#pragma unroll
  for (int m = 0; m < kRowParts; ++m) load_matrices(a[m], rows + place_of(m * 16 + lane % 16, slice * 2 + lane / 16));
#pragma unroll
  for (int pair = 0; pair < kColumnParts / 2; ++pair) {
    std::uint32_t b[4];
    load_matrices(b, columns + place_of(pair * 16 + lane / 16 * 8 + lane % 8, slice * 2 + lane / 8 % 2));
#pragma unroll
    for (int m = 0; m < kRowParts; ++m) {
      multiply_add(scores[m][2 * pair], a[m], b[0], b[1]);
      multiply_add(scores[m][2 * pair + 1], a[m], b[2], b[3]);
    }
  }
}

__device__ inline void append(const Survivors& to, std::int32_t row, std::int32_t id, float score) {
  const std::uint32_t at = atomicAdd(to.counts + row, 1u);
  if (at < to.capacity) to.keys[row * to.capacity + at] = pack_pair(id, score);
}

// The place of a warp's scores in the matrix of all pairs, and the bars of its rows and columns in shared memory.
struct Part {
  std::int32_t row, column;
  const float* row_bars;
  const float* column_bars;
  bool diagonal;
};

// A pair that reaches a bar; rare.
__device__ inline void offer(const TileScan& scan, const Part& part, int r, int c, float score) {
  const std::int32_t row = part.row + r, column = part.column + c;
  if (row >= scan.n_rows || column >= scan.n_columns) return;
  if (part.diagonal && row >= column) return;
  if (scan.own != nullptr && scan.own[row] == column) return;
  const float natural = score * static_cast<float>(1.0 / kScoreScale);
  if (scan.survivors.pairs != nullptr) {
    const unsigned long long at = atomicAdd(scan.survivors.n_pairs, 1ull);
    if (at < static_cast<unsigned long long>(scan.survivors.capacity)) {
      scan.survivors.pairs[at] = Pair{row, column, natural};
    }
    return;
  }
  if (score >= part.row_bars[r]) append(scan.survivors, row, column, natural);
  if (scan.symmetric && score >= part.column_bars[c]) append(scan.survivors, column, row, natural);
}

// Tests scores where they are, in registers: a thread has 16 columns of each of 8 rows. One comparison of the largest
// with the lowest of the bars in question rules most out.
__device__ inline void test_scores(const TileScan& scan, const Part& part, const Scores& scores, int lane) {
  float column_bar[kColumnParts][2];
  float lowest = __int_as_float(0x7F800000);
#pragma unroll
  for (int n = 0; n < kColumnParts; ++n) {
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      column_bar[n][c] = part.column_bars[n * 8 + lane % 4 * 2 + c];
      lowest = fminf(lowest, column_bar[n][c]);
    }
  }
#pragma unroll
  for (int m = 0; m < kRowParts; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = m * 16 + half * 8 + lane / 4;
      const float row_bar = part.row_bars[r];
      float largest = scores[m][0][2 * half];
#pragma unroll
      for (int n = 0; n < kColumnParts; ++n) {
        largest = fmaxf(largest, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
      }
      if (largest < fminf(row_bar, lowest)) continue;
      unsigned passed = 0;
#pragma unroll
      for (int n = 0; n < kColumnParts; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          if (scores[m][n][2 * half + c] >= fminf(row_bar, column_bar[n][c])) passed |= 1u << (2 * n + c);
        }
      }
      for (; passed != 0; passed &= passed - 1) {
        const int which = __ffs(static_cast<int>(passed)) - 1;
        float score = 0.0f;  // chosen without an index, which would put all scores into memory
#pragma unroll
        for (int n = 0; n < kColumnParts; ++n) {
#pragma unroll
          for (int c = 0; c < 2; ++c) {
            if (which == 2 * n + c) score = scores[m][n][2 * half + c];
          }
        }
        offer(scan, part, r, which / 2 * 8 + lane % 4 * 2 + which % 2, score);
      }
    }
  }
}

__device__ inline void clear(Scores& scores) {
#pragma unroll
  for (int m = 0; m < kRowParts; ++m) {
#pragma unroll
    for (int n = 0; n < kColumnParts; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[m][n][i] = 0.0f;
    }
  }
}

// Shared memory: the bars of the rows; the rows themselves where they stay; then the stages, each with two tiles of
// columns, their bars, and a tile of rows where rows do not stay.
__global__ void __launch_bounds__(kThreads, 1) scan_tiles_kernel(const TileScan scan, const ScanShape shape) {
  unsigned char* const shared = shared_memory();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int side = warp / 4, part_row = warp % 4 / 2 * kPart, part_column = warp % 2 * kPart;
  const TileRun run = run_of(scan.span, static_cast<std::int64_t>(blockIdx.x));
  if (run.count == 0) return;
  const std::int32_t steps = (run.count + 1) / 2 * scan.chunks;
  const __half* const row_tile = scan.rows + run.row_block * kTile * scan.half_stride;

  float* const row_bars = reinterpret_cast<float*>(shared);
  unsigned char* const resident = shared + kBarBytes;
  unsigned char* const stages = resident + (shape.resident ? scan.chunks * kTileBytes : 0);
  const int stage_bytes = static_cast<int>(shape.stage_bytes());
  if (threadIdx.x < kTile) row_bars[threadIdx.x] = scan.row_bars[run.row_block * kTile + threadIdx.x];
  if (!scan.symmetric) {
    for (int i = static_cast<int>(threadIdx.x); i < shape.stages * 2 * kTile; i += kThreads) {
      unsigned char* const bars = stages + i / (2 * kTile) * stage_bytes + 2 * kTileBytes;
      reinterpret_cast<float*>(bars)[i % (2 * kTile)] = __int_as_float(0x7F800000);  // a column wants none
    }
  }
  if (shape.resident) {
    for (int chunk = 0; chunk < scan.chunks; ++chunk) {
      fetch_tile(resident + chunk * kTileBytes, row_tile + chunk * kChunk, scan.half_stride);
    }
  }

  std::int32_t fetched_step = 0, fetched_pair = 0, fetched_chunk = 0, into = 0;
  const auto fetch_next = [&] {
    if (fetched_step < steps) {
      unsigned char* const stage = stages + into * stage_bytes;
      for (int s = 0; s < 2; ++s) {
        const std::int64_t block = run.column_block(min(2 * fetched_pair + s, run.count - 1));
        fetch_tile(stage + s * kTileBytes, scan.columns + block * kTile * scan.half_stride + fetched_chunk * kChunk,
                   scan.half_stride);
        if (scan.symmetric && fetched_chunk == scan.chunks - 1 && threadIdx.x < kTile / 4) {
          copy_async(stage + 2 * kTileBytes + s * kBarBytes + threadIdx.x * 16,
                     scan.column_bars + block * kTile + threadIdx.x * 4);
        }
      }
      if (!shape.resident) {
        fetch_tile(stage + 2 * kTileBytes + 2 * kBarBytes, row_tile + fetched_chunk * kChunk, scan.half_stride);
      }
      ++fetched_step;
      into = into + 1 == shape.stages ? 0 : into + 1;
      if (++fetched_chunk == scan.chunks) {
        fetched_chunk = 0;
        ++fetched_pair;
      }
    }
    close_copies();
  };

  Scores scores;
  clear(scores);
  for (int s = 0; s + 1 < shape.stages; ++s) fetch_next();
  std::int32_t pair = 0, chunk = 0, from = 0;
  for (std::int32_t step = 0; step < steps; ++step) {
    if (shape.stages == 2) {
      wait_for_copies<0>();
    } else {
      wait_for_copies<1>();
    }
    __syncthreads();  // this step's stage has come for all threads, and all are done with the one before it
    fetch_next();
    const unsigned char* const stage = stages + from * stage_bytes;
    const unsigned char* const rows =
        shape.resident ? resident + chunk * kTileBytes : stage + 2 * kTileBytes + 2 * kBarBytes;
    const int slices = chunk + 1 == scan.chunks ? scan.last_slices : static_cast<int>(kChunk / kSlice);
#pragma unroll 1
    for (int slice = 0; slice < slices; ++slice) {
      multiply_slice(scores, rows + part_row * kRowBytes, stage + side * kTileBytes + part_column * kRowBytes, slice,
                     lane);
    }
    if (chunk + 1 == scan.chunks) {
      const std::int32_t tile = 2 * pair + side;
      if (tile < run.count) {
        const std::int64_t block = run.column_block(tile);
        const float* const column_bars = reinterpret_cast<const float*>(stage + 2 * kTileBytes + side * kBarBytes);
        const Part part{static_cast<std::int32_t>(run.row_block * kTile) + part_row,
                        static_cast<std::int32_t>(block * kTile) + part_column, row_bars + part_row,
                        column_bars + part_column, scan.symmetric && block == run.row_block};
        test_scores(scan, part, scores, lane);
        __syncwarp();  // tensor cores want all threads of a warp together
      }
      clear(scores);
      chunk = 0;
      ++pair;
    } else {
      ++chunk;
    }
    from = from + 1 == shape.stages ? 0 : from + 1;
  }
}

}  // namespace

void prepare_scan(const ScanShape& shape) {
  PYREDUND_CUDA_CALL(cudaFuncSetAttribute(scan_tiles_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(shape.shared_bytes())));
}

void scan_tiles(TileScan scan, const ScanShape& shape, cudaStream_t stream) {
  launch(scan_tiles_kernel, blocks_of(scan.span), kThreads, shape.shared_bytes(), stream, scan, shape);
}

}  // namespace pyredund::cuda
