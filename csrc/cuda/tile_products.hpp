#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "cuda/device_rows.hpp"
#include "cuda/instructions.hpp"

// Tiles of halves in shared memory, and a warp's products of two of them.
namespace pyredund::cuda {

constexpr int kRowBytes = static_cast<int>(kChunk) * 2;  // of a chunk in shared memory
constexpr int kTileBytes = kTile * kRowBytes;

// A warp has 64 rows and 64 columns, and a thread of it 16 columns of each of 8 rows: see multiply_add.
constexpr int kPart = 64;
constexpr int kRowParts = kPart / 16, kColumnParts = kPart / 8;
using Scores = float[kRowParts][kColumnParts][4];

// Where 16 bytes lie: groups of a row are exchanged so that eight rows' same group is in eight different banks.
__device__ inline int place_of(int row, int group) { return row * kRowBytes + ((group ^ (row & 7)) << 4); }

// Starts to copy a tile, by `threads` threads.
__device__ inline void fetch_tile(unsigned char* to, const __half* from, std::int64_t stride, int threads) {
  for (int i = static_cast<int>(threadIdx.x); i < kTile * 8; i += threads) {
    const int row = i >> 3, group = i & 7;
    copy_async(to + place_of(row, group), from + row * stride + group * 8);
  }
}

// Adds the products of some slices; where `kFresh`, there is nothing to add them to yet. What is multiplied next is
// loaded meanwhile: the rows of the next slice while this one's are multiplied, and two groups of eight columns while
// the two before them are.
template <int kSlices, bool kFresh>
__device__ inline void multiply_slices(Scores& scores, const unsigned char* rows, const unsigned char* columns,
                                       int first, int lane) {
  constexpr int kPairs = kColumnParts / 2;
  std::uint32_t a[2][kRowParts][4], b[2][4];
  const auto load_rows = [&](int slice, int m) {
    load_matrices(a[slice % 2][m], rows + place_of(m * 16 + lane % 16, (first + slice) * 2 + lane / 16));
  };
  const auto load_columns = [&](int slice, int pair) {
    load_matrices(b[pair % 2],
                  columns + place_of(pair * 16 + lane / 16 * 8 + lane % 8, (first + slice) * 2 + lane / 8 % 2));
  };
#pragma unroll
  for (int m = 0; m < kRowParts; ++m) load_rows(0, m);
  load_columns(0, 0);
#pragma unroll
  for (int slice = 0; slice < kSlices; ++slice) {
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
      if (pair + 1 < kPairs) {
        load_columns(slice, pair + 1);
      } else if (slice + 1 < kSlices) {
        load_columns(slice + 1, 0);
      }
      static_assert(kPairs == kRowParts && kPairs % 2 == 0, "one group of rows is loaded with each pair");
      if (slice + 1 < kSlices) load_rows(slice + 1, pair);
#pragma unroll
      for (int m = 0; m < kRowParts; ++m) {
        if (kFresh && slice == 0) {
          multiply(scores[m][2 * pair], a[0][m], b[pair % 2][0], b[pair % 2][1]);
          multiply(scores[m][2 * pair + 1], a[0][m], b[pair % 2][2], b[pair % 2][3]);
        } else {
          multiply_add(scores[m][2 * pair], a[slice % 2][m], b[pair % 2][0], b[pair % 2][1]);
          multiply_add(scores[m][2 * pair + 1], a[slice % 2][m], b[pair % 2][2], b[pair % 2][3]);
        }
      }
    }
  }
}

// The same for the first `slices` of a chunk: usually all.
__device__ inline void multiply_chunk(Scores& scores, const unsigned char* rows, const unsigned char* columns,
                                      int slices, bool fresh, int lane) {
  constexpr int kAll = static_cast<int>(kChunk / kSlice);
  if (slices == kAll) {
    if (fresh) {
      multiply_slices<kAll, true>(scores, rows, columns, 0, lane);
    } else {
      multiply_slices<kAll, false>(scores, rows, columns, 0, lane);
    }
    return;
  }
  int slice = 0;
  if (fresh) multiply_slices<1, true>(scores, rows, columns, slice++, lane);
#pragma unroll 1
  for (; slice < slices; ++slice) multiply_slices<1, false>(scores, rows, columns, slice, lane);
}

}  // namespace pyredund::cuda
