#pragma once

// Which rows are scanned, packing, and products of one instruction set, for kernels.cpp alone: what it may
// define holds here too.
#include <cstdint>

#include "cpu/kernel_vectors.hpp"
#include "cpu/kernels.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kPairsAhead = 6;  // whose rows are fetched early

inline std::int32_t picked(const PanelScan& scan, std::int64_t at) {
  return scan.picks != nullptr ? scan.picks[at] : static_cast<std::int32_t>(at);
}

// Beyond the last row a strip takes that row again, which append_survivors leaves out.
inline std::int64_t row_of_strip(const PanelScan& scan, std::int64_t row) {
  return picked(scan, row < scan.n_rows ? row : scan.n_rows - 1);
}

void pack_floats(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* packed) {
  float* const panel = static_cast<float*>(packed);
  const char* const from = static_cast<const char*>(columns);
  std::int64_t i = 0;
#if defined(__AVX2__)
  for (; i + kLanes <= dim; i += kLanes) {
    for (int v = 0; v < kVectors; ++v) {
      Bytes four[kLanes];  // at first coordinates of a column, then the same one of all columns
      for (int lane = 0; lane < kLanes; ++lane) {
        const std::int64_t column = v * kLanes + lane;
        four[lane] = column < n_columns ? load_bytes(from + column * stride + i * 4) : Bytes{};
      }
      transpose(four);
      for (int c = 0; c < kLanes; ++c)
        __builtin_memcpy(panel + (i + c) * kPanel + v * kLanes, &four[c], sizeof four[c]);
    }
  }
#endif
  for (; i < dim; ++i) {
    for (std::int64_t column = 0; column < kPanel; ++column) {
      panel[i * kPanel + column] =
          column < n_columns ? reinterpret_cast<const float*>(from + column * stride)[i] : 0.0f;
    }
  }
}

// Products of a strip of rows with a panel's columns, in registers.
__attribute__((always_inline)) inline void multiply(const float* const* row, const float* panel, std::int64_t dim,
                                                    Vector (&product)[kStrip][kVectors]) {
#pragma GCC unroll 12
  for (int r = 0; r < kStrip; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) product[r][v] = Vector{};
  }
  for (std::int64_t i = 0; i < dim; ++i, panel += kPanel) {
    Vector column[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) column[v] = load(panel + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
      const Vector coordinate = broadcast(row[r][i]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) product[r][v] += coordinate * column[v];
    }
  }
}

float approximate(const float* x, const float* y, std::int64_t stride) {
  Eight sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};  // four chains, so that additions need not wait for each other
  std::int64_t i = 0;
  for (; i + 32 <= stride; i += 32) {
    sum0 += eight(x + i) * eight(y + i);
    sum1 += eight(x + i + 8) * eight(y + i + 8);
    sum2 += eight(x + i + 16) * eight(y + i + 16);
    sum3 += eight(x + i + 24) * eight(y + i + 24);
  }
  for (; i < stride; i += 8) sum0 += eight(x + i) * eight(y + i);
  const Eight sum = (sum0 + sum1) + (sum2 + sum3);
  return sum_of_lanes(sum);
}

#if defined(__AVX2__)
std::int32_t multiply_words(const std::int16_t* x, const std::int16_t* y, std::int64_t stride) {
  Bytes sum0 = Bytes{}, sum1 = Bytes{};
  for (std::int64_t i = 0; i < stride; i += kWordsTogether) {
    sum0 = add_word_products(sum0, load_bytes(x + i), load_bytes(y + i));
    if (sizeof(Bytes) == 64) continue;
    sum1 = add_word_products(sum1, load_bytes(x + i + kWordsTogether / 2), load_bytes(y + i + kWordsTogether / 2));
  }
  const Mask lanes = (Mask)sum0 + (Mask)sum1;
  std::int32_t sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}
#else
std::int32_t multiply_words(const std::int16_t* x, const std::int16_t* y, std::int64_t stride) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < stride; ++i) sum += x[i] * y[i];
  return sum;
}
#endif

void approximate_pairs(const float* rows, std::int64_t stride, std::int64_t count, const Survivor* pairs,
                       std::int64_t n_pairs, float* out) {
  for (std::int64_t s = 0; s < n_pairs; ++s) {
    if (s + kPairsAhead < n_pairs) {
      __builtin_prefetch(rows + pairs[s + kPairsAhead].row * stride);
      __builtin_prefetch(rows + pairs[s + kPairsAhead].column * stride);
    }
    out[s] = approximate(rows + pairs[s].row * stride, rows + pairs[s].column * stride, count);
  }
}

void multiply_word_pairs(const std::int16_t* rows, std::int64_t stride, const Survivor* pairs, std::int64_t n_pairs,
                         std::int32_t* out) {
  for (std::int64_t s = 0; s < n_pairs; ++s) {
    if (s + kPairsAhead < n_pairs) {
      __builtin_prefetch(rows + pairs[s + kPairsAhead].row * stride);
      __builtin_prefetch(rows + pairs[s + kPairsAhead].column * stride);
    }
    out[s] = multiply_words(rows + pairs[s].row * stride, rows + pairs[s].column * stride, stride);
  }
}

void weighted_sum(const float* rows, std::int64_t stride, const float* weights, std::int64_t n_rows, float* out) {
  for (std::int64_t i = 0; i < stride; i += 8) {
    Eight sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};  // four chains, so that additions need not wait for each other
    const float* row = rows + i;
    std::int64_t r = 0;
    for (; r + 4 <= n_rows; r += 4, row += 4 * stride) {
      sum0 += weights[r] * eight(row);
      sum1 += weights[r + 1] * eight(row + stride);
      sum2 += weights[r + 2] * eight(row + 2 * stride);
      sum3 += weights[r + 3] * eight(row + 3 * stride);
    }
    for (; r < n_rows; ++r, row += stride) sum0 += weights[r] * eight(row);
    *reinterpret_cast<UnalignedEight*>(out + i) = (sum0 + sum1) + (sum2 + sum3);
  }
}

// Four rows and a few directions at once: sums stay in registers, and each direction is read once for four rows.
#define PYREDUND_PROJECT(name, count)                                                                      \
  inline void name(const float* const* x, const float* directions, std::int64_t stride, float (*out)[4]) { \
    Eight sum[count][4];                                                                                   \
    _Pragma("GCC unroll 4") for (int b = 0; b < count; ++b) {                                              \
      sum[b][0] = sum[b][1] = sum[b][2] = sum[b][3] = Eight{};                                             \
    }                                                                                                      \
    for (std::int64_t i = 0; i < stride; i += 8) {                                                         \
      Eight q[count];                                                                                      \
      _Pragma("GCC unroll 4") for (int b = 0; b < count; ++b) q[b] = eight(directions + b * stride + i);   \
      _Pragma("GCC unroll 4") for (int a = 0; a < 4; ++a) {                                                \
        const Eight coordinates = eight(x[a] + i);                                                         \
        _Pragma("GCC unroll 4") for (int b = 0; b < count; ++b) sum[b][a] += coordinates * q[b];           \
      }                                                                                                    \
    }                                                                                                      \
    for (int b = 0; b < count; ++b) sums_of_lanes(sum[b], out[b]);                                         \
  }
PYREDUND_PROJECT(project_on_one, 1)
PYREDUND_PROJECT(project_on_three, 3)

void project(const float* const* rows, std::int64_t n_rows, const float* directions, std::int64_t n_directions,
             std::int64_t stride, float* out, std::int64_t out_stride) {
  for (std::int64_t r = 0; r < n_rows; r += 4) {
    const float* x[4];
    for (int a = 0; a < 4; ++a) x[a] = rows[r + a < n_rows ? r + a : n_rows - 1];
    const std::int64_t n_together = n_rows - r < 4 ? n_rows - r : 4;
    std::int64_t c = 0;
    float found[3][4];
    for (; c + 3 <= n_directions; c += 3) {
      project_on_three(x, directions + c * stride, stride, found);
      for (std::int64_t a = 0; a < n_together; ++a) {
        for (int b = 0; b < 3; ++b) out[(r + a) * out_stride + c + b] = found[b][a];
      }
    }
    for (; c < n_directions; ++c) {
      project_on_one(x, directions + c * stride, stride, found);
      for (std::int64_t a = 0; a < n_together; ++a) out[(r + a) * out_stride + c] = found[0][a];
    }
  }
}

typedef double Doubles __attribute__((vector_size(32)));

inline Doubles widen(const float* from) {
#if defined(__AVX2__)
  return (Doubles)_mm256_cvtps_pd(_mm_loadu_ps(from));  // GCC 12 makes a detour of the generic conversion
#else
  typedef float Floats __attribute__((vector_size(16), aligned(4)));
  return __builtin_convertvector(*reinterpret_cast<const Floats*>(from), Doubles);
#endif
}

}  // namespace
}  // namespace pyredund::cpu
