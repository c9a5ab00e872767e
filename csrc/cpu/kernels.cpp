// Compiled once per instruction set (PYREDUND_ISA). This object must define no weak symbol, or the linker
// might let an older processor run a newer one's copy: no STL, no templates, everything but the table in an
// anonymous namespace.
#include "cpu/kernels.hpp"

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

void pack_floats(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* packed) {
  float* panel = static_cast<float*>(packed);
  for (std::int64_t column = 0; column < n_columns; ++column) {
    const float* row = reinterpret_cast<const float*>(static_cast<const char*>(columns) + column * stride);
    for (std::int64_t i = 0; i < dim; ++i) panel[i * kPanel + column] = row[i];
  }
  for (std::int64_t column = n_columns; column < kPanel; ++column) {
    for (std::int64_t i = 0; i < dim; ++i) panel[i * kPanel + column] = 0.0f;
  }
}

// Rare enough to stand outside of the loop that has to stay in registers.
__attribute__((noinline)) Survivor* append_survivors(const PanelScan& scan, std::int64_t first,
                                                     const Vector (*score)[kVectors], Survivor* next) {
  for (int r = 0; r < kStrip && first + r < scan.n_rows; ++r) {
    const Vector row_bar = broadcast(scan.row_bars[first + r]);
    for (int v = 0; v < kVectors; ++v) {
      const Vector bar = smaller(row_bar, load(scan.column_bars + v * kLanes));
      const float* scores = reinterpret_cast<const float*>(&score[r][v]);
      for (unsigned bits = lanes_reaching(score[r][v], bar); bits != 0; bits &= bits - 1) {
        const int lane = __builtin_ctz(bits);
        const std::int64_t column = v * kLanes + lane;
        if (column >= scan.n_columns) break;
        *next++ = {static_cast<std::int32_t>(first + r), static_cast<std::int32_t>(column), scores[lane]};
      }
    }
  }
  return next;
}

// Whether any score reaches the smaller of its bars; if so its survivors are appended. Written for scores in registers.
inline Survivor* test_strip(const PanelScan& scan, std::int64_t first, const float* row_bar,
                            const Vector (&score)[kStrip][kVectors], Survivor* next) {
  const Vector column_bar0 = load(scan.column_bars);
  const Vector column_bar1 = load(scan.column_bars + kLanes);
  Mask survives = {};
#pragma GCC unroll 14
  for (int r = 0; r < kStrip; ++r) {
    const Vector bar = broadcast(row_bar[r]);
    survives |= score[r][0] >= smaller(bar, column_bar0);
    survives |= score[r][1] >= smaller(bar, column_bar1);
  }
  if (!any(survives)) return next;
  Vector stored[kStrip][kVectors];  // only here do scores leave the registers
#pragma GCC unroll 14
  for (int r = 0; r < kStrip; ++r) {
    stored[r][0] = score[r][0];
    stored[r][1] = score[r][1];
  }
  return append_survivors(scan, first, stored, next);
}

// Beyond the last row a strip takes that row again, which append_survivors leaves out.
inline std::int64_t row_of_strip(const PanelScan& scan, std::int64_t row) {
  return row < scan.n_rows ? row : scan.n_rows - 1;
}

std::int64_t scan_floats(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors) {
  Survivor* const end = scan.survivors + scan.capacity - kStrip * kPanel;
  Survivor* next = scan.survivors + *n_survivors;
  std::int64_t first = first_row;
  for (; first < scan.n_rows && next <= end; first += kStrip) {
    const float* row[kStrip];
    float row_bar[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = row_of_strip(scan, first + r);
      row[r] = reinterpret_cast<const float*>(static_cast<const char*>(scan.rows) + at * scan.stride);
      row_bar[r] = scan.row_bars[at];
    }
    Vector score[kStrip][kVectors];
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) score[r][0] = score[r][1] = Vector{};
    const float* panel = static_cast<const float*>(scan.panel);
    for (std::int64_t i = 0; i < scan.dim; ++i, panel += kPanel) {
      const Vector column0 = load(panel);
      const Vector column1 = load(panel + kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < kStrip; ++r) {
        const Vector coordinate = broadcast(row[r][i]);
        score[r][0] += coordinate * column0;
        score[r][1] += coordinate * column1;
      }
    }
    next = test_strip(scan, first, row_bar, score, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
}

#if defined(__AVX512F__)
typedef __m512i Bytes;
inline Bytes load_bytes(const void* from) { return _mm512_loadu_si512(from); }
inline Bytes broadcast_four(const std::uint8_t* from) {
  int four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm512_set1_epi32(four);
}
inline Bytes add_products(Bytes sums, Bytes a, Bytes b) { return _mm512_add_epi16(sums, _mm512_maddubs_epi16(a, b)); }
inline Vector total(Bytes sums) {
  return __builtin_convertvector((Mask)_mm512_madd_epi16(sums, _mm512_set1_epi16(1)), Vector);
}
#elif defined(__AVX2__)
typedef __m256i Bytes;
inline Bytes load_bytes(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline Bytes broadcast_four(const std::uint8_t* from) {
  int four;
  __builtin_memcpy(&four, from, sizeof four);
  return _mm256_set1_epi32(four);
}
inline Bytes add_products(Bytes sums, Bytes a, Bytes b) { return _mm256_add_epi16(sums, _mm256_maddubs_epi16(a, b)); }
inline Vector total(Bytes sums) {
  return __builtin_convertvector((Mask)_mm256_madd_epi16(sums, _mm256_set1_epi16(1)), Vector);
}
#endif

#if defined(__AVX2__)
// Four coordinates of each column lie together: panel[(coordinate / 4 * kPanel + column) * 4 + coordinate % 4]. Behind
// them lies what the sums start from: rows are stored plus 128, and 128 times the column's sum is taken off beforehand,
// in 16-bit integers that may wrap on the way but not in the end.
void pack_bytes(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* packed) {
  std::int8_t* panel = static_cast<std::int8_t*>(packed);
  __builtin_memset(panel, 0, static_cast<std::size_t>(dim * kPanel));
  std::int16_t start[2 * kPanel] = {};
  for (std::int64_t column = 0; column < n_columns; ++column) {
    const std::int8_t* from = static_cast<const std::int8_t*>(columns) + column * stride;
    int even = 0, odd = 0;  // sums of the first and of the second pair of every four coordinates
    for (std::int64_t i = 0; i < dim; i += 4) {
      __builtin_memcpy(panel + (i / 4 * kPanel + column) * 4, from + i, 4);
      even += from[i] + from[i + 1];
      odd += from[i + 2] + from[i + 3];
    }
    start[2 * column] = static_cast<std::int16_t>(-128 * even);
    start[2 * column + 1] = static_cast<std::int16_t>(-128 * odd);
  }
  __builtin_memcpy(panel + dim * kPanel, start, sizeof start);
}

std::int64_t scan_bytes(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors) {
  Survivor* const end = scan.survivors + scan.capacity - kStrip * kPanel;
  Survivor* next = scan.survivors + *n_survivors;
  const std::int8_t* const behind = static_cast<const std::int8_t*>(scan.panel) + scan.dim * kPanel;
  const Bytes start0 = load_bytes(behind);
  const Bytes start1 = load_bytes(behind + kLanes * 4);
  std::int64_t first = first_row;
  for (; first < scan.n_rows && next <= end; first += kStrip) {
    const std::uint8_t* row[kStrip];
    float row_bar[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = row_of_strip(scan, first + r);
      row[r] = static_cast<const std::uint8_t*>(scan.rows) + at * scan.stride;
      row_bar[r] = scan.row_bars[at];
    }
    Bytes sums[kStrip][kVectors];
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) {
      sums[r][0] = start0;
      sums[r][1] = start1;
    }
    const std::int8_t* panel = static_cast<const std::int8_t*>(scan.panel);
    for (std::int64_t i = 0; i < scan.dim; i += 4, panel += 4 * kPanel) {
      const Bytes column0 = load_bytes(panel);
      const Bytes column1 = load_bytes(panel + 4 * kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < kStrip; ++r) {
        const Bytes four = broadcast_four(row[r] + i);
        sums[r][0] = add_products(sums[r][0], four, column0);
        sums[r][1] = add_products(sums[r][1], four, column1);
      }
    }
    Vector score[kStrip][kVectors];
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) {
      score[r][0] = total(sums[r][0]);
      score[r][1] = total(sums[r][1]);
    }
    next = test_strip(scan, first, row_bar, score, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
}

constexpr Scanner kBytes = {pack_bytes, scan_bytes};
#else
constexpr Scanner kBytes = {nullptr, nullptr};
#endif

typedef float Eight __attribute__((vector_size(32)));
typedef float UnalignedEight __attribute__((vector_size(32), aligned(4)));
inline Eight eight(const float* from) { return *reinterpret_cast<const UnalignedEight*>(from); }

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
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
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

double score(const float* x, const float* y, std::int64_t stride) {
  Doubles low = {}, high = {};  // lanes 0-3 and 4-7
  for (std::int64_t i = 0; i < stride; i += 8) {
    low += widen(x + i) * widen(y + i);
    high += widen(x + i + 4) * widen(y + i + 4);
  }
  const Doubles sum = low + high;
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

}  // namespace

#define PYREDUND_TABLE_OF(isa) kKernels_##isa
#define PYREDUND_TABLE(isa) PYREDUND_TABLE_OF(isa)
#define PYREDUND_NAME_OF(isa) #isa
#define PYREDUND_NAME(isa) PYREDUND_NAME_OF(isa)

extern const Kernels PYREDUND_TABLE(PYREDUND_ISA) = {
    PYREDUND_NAME(PYREDUND_ISA), kPanel, kStrip, {pack_floats, scan_floats}, kBytes, approximate, score,
};

}  // namespace pyredund::cpu
