#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define PYREDUND_BOTH __host__ __device__
#elif !defined(PYREDUND_BOTH)
#define PYREDUND_BOTH
#endif

namespace pyredund::cuda {

// Rows of half precision hold coordinates times 2^10: what would be subnormal among halves is then below 2^-24, and is
// set to zero. Sums of products are scores times 2^20. Powers of two round nothing.
constexpr float kHalfScale = 1024.0f;
constexpr double kScoreScale = 1048576.0;

// How far the tensor cores' score of two unit rows x and y can lie from their similarity s.
//
// Let x = h + e with h the row of halves (scaled back) and |e| its residual, likewise y = h' + e'. Then
//   x.y - h.h' = e.y + h.e',  so  |x.y - h.h'| <= |e| |y| + |h| |e'| <= (|e| + |e'|)(1 + 2^-22) + |e| |e'|
// by Cauchy-Schwarz, with |x|, |y| <= 1 + 2^-22 and |h| <= |x| + |e|. Residuals are measured, not assumed.
//
// The products of halves are exact in float32. How tensor cores add them is not specified; measurements (Fasi, Higham,
// Mikaitis and Pranesh 2021) show blocks of b products and the sum so far aligned to the largest of them, cut off at 24
// bits or later, added, and cut off again. Each of these b + 2 cuts takes less than 2^-23 of the largest magnitude, and
// magnitudes are at most sum |h_i h'_i| <= |h| |h'| < 1.003. That makes (b + 2) / b cuts for each coordinate, at most
// 3; four are allowed for: dim * 2^-21.
//
// s itself is a float64 sum rounded to float32, cut to [-1, 1], and 1 for identical rows, whose norms are 1 within
// 2^-24: 2^-22 covers all of it.
PYREDUND_BOTH inline double margin_of(double residual, double largest_other_residual, std::int64_t dim) {
  const double rounding = (residual + largest_other_residual) * (1.0 + 0x1p-20) + residual * largest_other_residual;
  return rounding + static_cast<double>(dim) * 0x1p-21 + 0x1p-22;
}

}  // namespace pyredund::cuda
