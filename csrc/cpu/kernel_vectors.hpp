#pragma once

// The vectors of one instruction set, for kernels.cpp alone: what it may define (no weak symbols) holds here too.
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace pyredund::cpu {
namespace {

// A strip of kStrip rows times kVectors vectors of columns keeps its scores in 12 registers; the rest hold the panel's
// vectors and one broadcast coordinate. AVX-512 has the registers for more columns, but a panel is a cell as well, and
// cells of 16 rows rule more pairs out than cells of 32; for more rows there are not enough registers of addresses.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kStrip = 12, kVectors = 1;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kStrip = 6, kVectors = 2;
#else
constexpr int kLanes = 4, kStrip = 6, kVectors = 2;
#endif
constexpr int kPanel = kLanes * kVectors;

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef float UnalignedVector __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
typedef std::int32_t Mask __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }  // compiles to the minimum instruction
inline Mask smaller(Mask a, Mask b) { return a < b ? a : b; }
inline Mask load(const std::int32_t* from) {
  typedef Mask Unaligned __attribute__((aligned(4)));
  return *reinterpret_cast<const Unaligned*>(from);
}
inline Vector broadcast(float value) { return value - Vector{}; }  // x - 0 is x, also for -0: it folds away

#if defined(__AVX512F__)
inline unsigned lanes_reaching(Vector score, Vector bar) {
  return _mm512_cmp_ps_mask((__m512)score, (__m512)bar, _CMP_GE_OQ);
}
#elif defined(__AVX2__)
inline unsigned lanes_reaching(Vector score, Vector bar) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps((__m256)score, (__m256)bar, _CMP_GE_OQ)));
}
#elif defined(__SSE2__)
inline unsigned lanes_reaching(Vector score, Vector bar) {
  return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpge_ps((__m128)score, (__m128)bar)));
}
#else
inline unsigned lanes_reaching(Vector score, Vector bar) {
  const Mask reached = score >= bar;
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) bits |= static_cast<unsigned>(reached[lane] & 1) << lane;
  return bits;
}
#endif

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

#if defined(__AVX512F__)
typedef __m512i Bytes;
inline Bytes load_bytes(const void* from) { return _mm512_loadu_si512(from); }
inline Bytes broadcast_four(const std::uint8_t* from) {
  int four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}
inline Bytes add_word_products(Bytes sums, Bytes a, Bytes b) { return _mm512_add_epi32(sums, _mm512_madd_epi16(a, b)); }
#if defined(__AVX512VNNI__)  // four products are added up in 32 bits, by one instruction
inline Bytes add_products(Bytes sums, Bytes a, Bytes b) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));  // GCC 12 copies the intrinsic's sums to and fro
  return sums;
}
// Sums begin with everything that is added to them.
inline Bytes first_sums(Bytes start, Mask offsets) { return (Bytes)((Mask)start + offsets); }
inline Mask total(Bytes sums, Mask) { return (Mask)sums; }
// 128 times `dim` bytes less their offset of 128, from the sums of the bytes, and taken off zero.
inline Bytes start_of(Bytes sums, std::int64_t dim) {
  return (Bytes)((static_cast<std::int32_t>(128 * dim) - (Mask)sums) * 128);
}
#else
inline Bytes add_products(Bytes sums, Bytes a, Bytes b) { return _mm512_add_epi16(sums, _mm512_maddubs_epi16(a, b)); }
inline Bytes first_sums(Bytes start, Mask) { return start; }  // 16 bits have no room for offsets
inline Mask total(Bytes sums, Mask offsets) { return (Mask)_mm512_madd_epi16(sums, _mm512_set1_epi16(1)) + offsets; }
inline Bytes start_of(Bytes sums, std::int64_t dim) {            // of pairs of bytes
  typedef std::uint16_t Words __attribute__((vector_size(64)));  // wrap
  return (Bytes)((static_cast<std::uint16_t>(64 * dim) - (Words)sums) * 128);
}
#endif
inline unsigned lanes_reaching(Mask score, Mask limit) {
  return _mm512_cmp_epi32_mask((__m512i)score, (__m512i)limit, _MM_CMPINT_NLT);
}
inline Bytes repeated(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
// Sixteen rows of sixteen groups of four bytes. GCC 12 warns of intrinsics without masks.
inline void transpose(Bytes (&x)[16]) {
  Bytes y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_maskz_unpacklo_epi32(0xFFFF, x[i], x[i + 1]);
    y[i + 1] = _mm512_maskz_unpackhi_epi32(0xFFFF, x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // x[i + j] holds, in each quarter q, the group 4 q + j of rows i to i + 3
    x[i] = _mm512_maskz_unpacklo_epi64(0xFF, y[i], y[i + 2]);
    x[i + 1] = _mm512_maskz_unpackhi_epi64(0xFF, y[i], y[i + 2]);
    x[i + 2] = _mm512_maskz_unpacklo_epi64(0xFF, y[i + 1], y[i + 3]);
    x[i + 3] = _mm512_maskz_unpackhi_epi64(0xFF, y[i + 1], y[i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    const Bytes low = _mm512_maskz_shuffle_i32x4(0xFFFF, x[j], x[j + 4], 0x44),
                high = _mm512_maskz_shuffle_i32x4(0xFFFF, x[j], x[j + 4], 0xEE);
    const Bytes low2 = _mm512_maskz_shuffle_i32x4(0xFFFF, x[j + 8], x[j + 12], 0x44);
    const Bytes high2 = _mm512_maskz_shuffle_i32x4(0xFFFF, x[j + 8], x[j + 12], 0xEE);
    y[j] = _mm512_maskz_shuffle_i32x4(0xFFFF, low, low2, 0x88);
    y[j + 4] = _mm512_maskz_shuffle_i32x4(0xFFFF, low, low2, 0xDD);
    y[j + 8] = _mm512_maskz_shuffle_i32x4(0xFFFF, high, high2, 0x88);
    y[j + 12] = _mm512_maskz_shuffle_i32x4(0xFFFF, high, high2, 0xDD);
  }
  for (int i = 0; i < 16; ++i) x[i] = y[i];
}
#elif defined(__AVX2__)
typedef __m256i Bytes;
inline Bytes load_bytes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline Bytes broadcast_four(const std::uint8_t* from) {
  int four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}
inline Bytes add_word_products(Bytes sums, Bytes a, Bytes b) { return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)); }
inline Bytes add_products(Bytes sums, Bytes a, Bytes b) { return _mm256_add_epi16(sums, _mm256_maddubs_epi16(a, b)); }
inline Bytes first_sums(Bytes start, Mask) { return start; }
inline Mask total(Bytes sums, Mask offsets) { return (Mask)_mm256_madd_epi16(sums, _mm256_set1_epi16(1)) + offsets; }
inline Bytes start_of(Bytes sums, std::int64_t dim) {            // as above
  typedef std::uint16_t Words __attribute__((vector_size(32)));  // wrap
  return (Bytes)((static_cast<std::uint16_t>(64 * dim) - (Words)sums) * 128);
}
inline unsigned lanes_reaching(Mask score, Mask limit) {
  return ~static_cast<unsigned>(_mm256_movemask_ps((__m256)(limit > score))) & 0xFF;
}
inline Bytes repeated(int byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
// Eight rows of eight groups of four bytes.
inline void transpose(Bytes (&x)[8]) {
  Bytes y[8];
  for (int i = 0; i < 8; i += 2) {
    y[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {  // x[i + j] holds, in each half h, the group 4 h + j of rows i to i + 3
    x[i] = _mm256_unpacklo_epi64(y[i], y[i + 2]);
    x[i + 1] = _mm256_unpackhi_epi64(y[i], y[i + 2]);
    x[i + 2] = _mm256_unpacklo_epi64(y[i + 1], y[i + 3]);
    x[i + 3] = _mm256_unpackhi_epi64(y[i + 1], y[i + 3]);
  }
  for (int j = 0; j < 4; ++j) {
    y[j] = _mm256_permute2x128_si256(x[j], x[j + 4], 0x20);
    y[j + 4] = _mm256_permute2x128_si256(x[j], x[j + 4], 0x31);
  }
  for (int i = 0; i < 8; ++i) x[i] = y[i];
}
#endif

#if defined(__AVX2__)
// For every eight marks the lanes that are set, first ones first.
struct SetLanes {
  std::uint8_t of[256][8];
  constexpr SetLanes() : of() {
    for (int marks = 0; marks < 256; ++marks) {
      int n = 0;
      for (int lane = 0; lane < 8; ++lane) {
        if ((marks >> lane & 1) != 0) of[marks][n++] = static_cast<std::uint8_t>(lane);
      }
    }
  }
};
constexpr SetLanes kSetLanes;
#endif

}  // namespace
}  // namespace pyredund::cpu
