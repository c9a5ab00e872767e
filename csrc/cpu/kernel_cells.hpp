#pragma once

// Which rows are near which cells, for kernels.cpp alone: what it may define holds here too.
#include <cstdint>

#include "cpu/kernel_products.hpp"
#include "cpu/kernel_vectors.hpp"
#include "cpu/kernels.hpp"

namespace pyredund::cpu {
namespace {

void mark_near(const CellScan& scan) {
  for (std::int64_t first = 0; first < scan.n_rows; first += kStrip) {
    const float* row[kStrip];
    std::int64_t at[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t place = first + r < scan.n_rows ? first + r : scan.n_rows - 1;
      at[r] = scan.picks != nullptr ? scan.picks[place] : place;
      row[r] = scan.rows + at[r] * scan.stride;
    }
    Vector score[kStrip][kVectors];
    multiply(row, scan.cells, scan.dim, score);
    const int strip = scan.n_rows - first < kStrip ? static_cast<int>(scan.n_rows - first) : kStrip;
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
      if (r == strip) break;
      const Vector cosine = broadcast(scan.row_cosines[at[r]]), sine = broadcast(scan.row_sines[at[r]]);
      std::uint32_t near = 0;
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const Vector sum = cosine * load(scan.cell_cosines + v * kLanes) - sine * load(scan.cell_sines + v * kLanes);
        const Vector limit = smaller(sum, load(scan.column_limits + v * kLanes));
        near |= lanes_reaching(score[r][v], limit) << (v * kLanes);
      }
      scan.near[first + r] = near;
    }
  }
}

#if defined(__AVX512F__)
std::int64_t rows_near(const std::uint32_t* near, const std::int32_t* rows, std::int64_t n_rows, int cell,
                       std::int32_t* out) {
  const __m512i bit = _mm512_set1_epi32(static_cast<int>(1u << cell));
  std::int32_t* next = out;
  for (std::int64_t r = 0; r < n_rows; r += 16) {
    const __mmask16 inside = n_rows - r < 16 ? static_cast<__mmask16>((1u << (n_rows - r)) - 1) : 0xFFFF;
    const __mmask16 found = _mm512_mask_test_epi32_mask(inside, _mm512_maskz_loadu_epi32(inside, near + r), bit);
    // A compressing store is slow on some processors.
    _mm512_storeu_si512(next, _mm512_maskz_compress_epi32(found, _mm512_maskz_loadu_epi32(inside, rows + r)));
    next += __builtin_popcount(found);
  }
  return next - out;
}
#else
std::int64_t rows_near(const std::uint32_t* near, const std::int32_t* rows, std::int64_t n_rows, int cell,
                       std::int32_t* out) {
  std::int32_t* next = out;
  std::int64_t r = 0;
#if defined(__AVX2__)
  const __m128i shift = _mm_cvtsi32_si128(31 - cell);  // brings the cell's bit to where signs are
  for (; r + 8 <= n_rows; r += 8) {
    const __m256i marks = _mm256_sll_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(near + r)), shift);
    const int set = _mm256_movemask_ps(_mm256_castsi256_ps(marks));
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kSetLanes.of[set])));
    const __m256i eight_rows = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + r));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(next), _mm256_permutevar8x32_epi32(eight_rows, lanes));
    next += __builtin_popcount(static_cast<unsigned>(set));
  }
#endif
  for (; r < n_rows; ++r) {  // without a branch: half of them would be guessed wrongly
    *next = rows[r];
    next += near[r] >> cell & 1;
  }
  return next - out;
}
#endif

}  // namespace
}  // namespace pyredund::cpu
