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

void pack_panel(const float* rows, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, float* panel) {
  for (std::int64_t column = 0; column < n_columns; ++column) {
    const float* row = rows + column * stride;
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

std::int64_t scan_panel(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors) {
  Survivor* const end = scan.survivors + scan.capacity - kStrip * kPanel;
  Survivor* next = scan.survivors + *n_survivors;
  const Vector column_bar0 = load(scan.column_bars);
  const Vector column_bar1 = load(scan.column_bars + kLanes);

  std::int64_t first = first_row;
  for (; first < scan.n_rows && next <= end; first += kStrip) {
    const float* row[kStrip];  // beyond the last row: that row again, left out below
    float row_bar[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = first + r < scan.n_rows ? first + r : scan.n_rows - 1;
      row[r] = scan.rows + at * scan.stride;
      row_bar[r] = scan.row_bars[at];
    }
    Vector score[kStrip][kVectors];
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) score[r][0] = score[r][1] = Vector{};
    const float* panel = scan.panel;
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
    Mask survives = {};
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) {
      const Vector bar = broadcast(row_bar[r]);
      survives |= score[r][0] >= smaller(bar, column_bar0);
      survives |= score[r][1] >= smaller(bar, column_bar1);
    }
    if (!any(survives)) continue;
    Vector stored[kStrip][kVectors];  // only here do scores leave the registers
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) {
      stored[r][0] = score[r][0];
      stored[r][1] = score[r][1];
    }
    next = append_survivors(scan, first, stored, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
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
    PYREDUND_NAME(PYREDUND_ISA), kPanel, kStrip, pack_panel, scan_panel, score,
};

}  // namespace pyredund::cpu
