#pragma once

// Which rows are near which cells, for kernels.cpp alone: what it may define holds here too.
#include <cstdint>

#include "cpu/kernel_products.hpp"
#include "cpu/kernel_vectors.hpp"
#include "cpu/kernels.hpp"

namespace pyredund::cpu {
namespace {

void mark_near(const CellScan& scan) {
  const Vector half = broadcast(0.5f);
  for (std::int64_t first = 0; first < scan.n_rows; first += kStrip) {
    const float* row[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      row[r] = scan.rows + (first + r < scan.n_rows ? first + r : scan.n_rows - 1) * scan.stride;
    }
    Vector score[kStrip][kVectors];
    multiply(row, scan.cells, scan.dim, score);
    const int strip = scan.n_rows - first < kStrip ? static_cast<int>(scan.n_rows - first) : kStrip;
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
      if (r == strip) break;
      const Vector reach = broadcast(scan.reaches[first + r]);
      std::uint32_t near = 0;
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const Vector grown = load(scan.limits + v * kLanes) - reach * (load(scan.radii + v * kLanes) + half * reach);
        const Vector limit = smaller(grown, load(scan.column_limits + v * kLanes));
        near |= lanes_reaching(score[r][v], limit) << (v * kLanes);
      }
      scan.near[first + r] = near;
    }
  }
}

#if defined(__AVX512F__)
std::int64_t rows_near(const std::uint32_t* near, std::int64_t n_rows, int cell, std::int32_t* out) {
  const __m512i bit = _mm512_set1_epi32(static_cast<int>(1u << cell));
  __m512i rows = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  std::int32_t* next = out;
  for (std::int64_t r = 0; r < n_rows; r += 16, rows = _mm512_add_epi32(rows, _mm512_set1_epi32(16))) {
    const __mmask16 inside = n_rows - r < 16 ? static_cast<__mmask16>((1u << (n_rows - r)) - 1) : 0xFFFF;
    const __mmask16 found = _mm512_mask_test_epi32_mask(inside, _mm512_maskz_loadu_epi32(inside, near + r), bit);
    _mm512_storeu_si512(next, _mm512_maskz_compress_epi32(found, rows));  // a compressing store is slow on some
    next += __builtin_popcount(found);
  }
  return next - out;
}
#elif defined(__AVX2__)
std::int64_t rows_near(const std::uint32_t* near, std::int64_t n_rows, int cell, std::int32_t* out) {
  const __m128i shift = _mm_cvtsi32_si128(31 - cell);  // brings the cell's bit to where signs are
  std::int32_t* next = out;
  std::int64_t r = 0;
  for (; r + 8 <= n_rows; r += 8) {
    const __m256i marks = _mm256_sll_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(near + r)), shift);
    const int set = _mm256_movemask_ps(_mm256_castsi256_ps(marks));
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kSetLanes.of[set])));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(next),
                        _mm256_add_epi32(lanes, _mm256_set1_epi32(static_cast<int>(r))));
    next += __builtin_popcount(static_cast<unsigned>(set));
  }
  for (; r < n_rows; ++r) {
    *next = static_cast<std::int32_t>(r);
    next += near[r] >> cell & 1;
  }
  return next - out;
}
#else
std::int64_t rows_near(const std::uint32_t* near, std::int64_t n_rows, int cell, std::int32_t* out) {
  std::int32_t* next = out;
  for (std::int64_t r = 0; r < n_rows; ++r) {  // without a branch: half of them would be guessed wrongly
    *next = static_cast<std::int32_t>(r);
    next += near[r] >> cell & 1;
  }
  return next - out;
}
#endif

}  // namespace
}  // namespace pyredund::cpu
