#pragma once

// The vectors of one instruction set, for kernels.cpp alone: what it may define (no weak symbols) holds here too.
#include <cstdint>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace pyredund::cpu {
namespace {

// A strip of kStrip rows times kVectors vectors of columns keeps its scores in registers: 12 of 16 (SSE,
// AVX2) or 28 of 32 (AVX-512), the rest hold the panel's vectors and one broadcast coordinate.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kStrip = 14;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kStrip = 6;
#else
constexpr int kLanes = 4, kStrip = 6;
#endif
constexpr int kVectors = 2;
constexpr int kPanel = kLanes * kVectors;

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef float UnalignedVector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
typedef std::int32_t Mask __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }  // compiles to the minimum instruction
inline Vector broadcast(float value) { return value - Vector{}; }    // x - 0 is x, also for -0: it folds away

#if defined(__AVX512F__)
inline unsigned lanes_reaching(Vector score, Vector bar) {
  return _mm512_cmp_ps_mask((__m512)score, (__m512)bar, _CMP_GE_OQ);
}
#elif defined(__AVX2__)
inline unsigned lanes_reaching(Vector score, Vector bar) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)score, (__m256)bar, _CMP_GE_OQ)));
}
#else
inline unsigned lanes_reaching(Vector score, Vector bar) {
  const Mask reached = score >= bar;
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) bits |= static_cast<unsigned>(reached[lane] & 1) << lane;
  return bits;
}
#endif

inline bool any(Mask mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
  typedef std::int64_t Halves __attribute__((vector_size(16)));
  const Halves halves = (Halves)mask;
  return (halves[0] | halves[1]) != 0;
#endif
}

typedef float Eight __attribute__((vector_size(32)));
typedef float UnalignedEight __attribute__((vector_size(32), aligned(4)));
inline Eight eight(const float* from) { return *reinterpret_cast<const UnalignedEight*>(from); }

inline float sum_of_lanes(Eight sum) {
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

// The sums of the lanes of four vectors.
inline void sums_of_lanes(const Eight* sum, float* out) {
#if defined(__AVX2__)
  const __m256 pairs =
      _mm256_hadd_ps(_mm256_hadd_ps((__m256)sum[0], (__m256)sum[1]), _mm256_hadd_ps((__m256)sum[2], (__m256)sum[3]));
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1)));
#else
  for (int i = 0; i < 4; ++i) out[i] = sum_of_lanes(sum[i]);
#endif
}

}  // namespace
}  // namespace pyredund::cpu
