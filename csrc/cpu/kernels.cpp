// Compiled once per instruction set (PYREDUND_ISA). This object must define no weak symbol, or the linker
// might let an older processor run a newer one's copy: no STL, no templates, everything but the table in an
// anonymous namespace.
#include "cpu/kernels.hpp"

#include "cpu/kernel_vectors.hpp"

namespace pyredund::cpu {
namespace {

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

inline std::int32_t picked(const PanelScan& scan, std::int64_t at) {
  return scan.picks != nullptr ? scan.picks[at] : static_cast<std::int32_t>(at);
}

// Rare enough to stand outside of the loop that has to stay in registers.
__attribute__((noinline)) Survivor* append_survivors(const PanelScan& scan, std::int64_t first,
                                                     const Vector (*score)[kVectors], Survivor* next) {
  for (int r = 0; r < kStrip && first + r < scan.n_rows; ++r) {
    const std::int32_t row = picked(scan, first + r);
    const Vector row_bar = broadcast(scan.row_bars[row]);
    const Vector offset = broadcast(scan.row_offsets != nullptr ? scan.row_offsets[row] : 0.0f);
    for (int v = 0; v < kVectors; ++v) {
      const Vector bar = smaller(row_bar, load(scan.column_bars + v * kLanes)) - offset;
      const float* scores = reinterpret_cast<const float*>(&score[r][v]);
      for (unsigned bits = lanes_reaching(score[r][v], bar); bits != 0; bits &= bits - 1) {
        const int lane = __builtin_ctz(bits);
        const std::int64_t column = v * kLanes + lane;
        if (column >= scan.n_columns) break;
        *next++ = {row, static_cast<std::int32_t>(column), scores[lane]};
      }
    }
  }
  return next;
}

// Whether any score reaches the smaller of its bars; if so its survivors are appended. Written for scores in registers.
// `row_offset` is null where scores have none.
inline Survivor* test_strip(const PanelScan& scan, std::int64_t first, const float* row_bar, const float* row_offset,
                            const Vector (&score)[kStrip][kVectors], Survivor* next) {
  const Vector column_bar0 = load(scan.column_bars);
  const Vector column_bar1 = load(scan.column_bars + kLanes);
  Mask survives = {};
#pragma GCC unroll 14
  for (int r = 0; r < kStrip; ++r) {
    const Vector bar = broadcast(row_bar[r]);
    const Vector offset = row_offset != nullptr ? broadcast(row_offset[r]) : Vector{};
    survives |= score[r][0] >= smaller(bar, column_bar0) - offset;
    survives |= score[r][1] >= smaller(bar, column_bar1) - offset;
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
  return picked(scan, row < scan.n_rows ? row : scan.n_rows - 1);
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
    next = test_strip(scan, first, row_bar, nullptr, score, next);
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
    const std::uint8_t* from = static_cast<const std::uint8_t*>(columns) + column * stride;
    int even = 0, odd = 0;  // sums of the first and of the second pair of every four coordinates
    for (std::int64_t i = 0; i < dim; i += 4) {
      std::uint32_t four;
      __builtin_memcpy(&four, from + i, 4);
      four ^= 0x80808080u;  // takes 128 off
      __builtin_memcpy(panel + (i / 4 * kPanel + column) * 4, &four, 4);
      even += from[i] + from[i + 1] - 256;
      odd += from[i + 2] + from[i + 3] - 256;
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
  const Vector column_offset0 = load(scan.column_offsets);
  const Vector column_offset1 = load(scan.column_offsets + kLanes);
  std::int64_t first = first_row;
  for (; first < scan.n_rows && next <= end; first += kStrip) {
    const std::uint8_t* row[kStrip];
    float row_bar[kStrip], row_offset[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = row_of_strip(scan, first + r);
      row[r] = static_cast<const std::uint8_t*>(scan.rows) + at * scan.stride;
      row_bar[r] = scan.row_bars[at];
      row_offset[r] = scan.row_offsets[at];
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
      score[r][0] = total(sums[r][0]) + column_offset0;
      score[r][1] = total(sums[r][1]) + column_offset1;
    }
    next = test_strip(scan, first, row_bar, row_offset, score, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
}

constexpr Scanner kBytes = {pack_bytes, scan_bytes};
#else
constexpr Scanner kBytes = {nullptr, nullptr};
#endif

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

void mark_near(const CellScan& scan) {
  const Vector half = broadcast(0.5f);
  const Vector limit0 = load(scan.limits), limit1 = load(scan.limits + kLanes);
  const Vector radius0 = load(scan.radii), radius1 = load(scan.radii + kLanes);
  const Vector column_limit0 = load(scan.column_limits), column_limit1 = load(scan.column_limits + kLanes);
  for (std::int64_t first = 0; first < scan.n_rows; first += kStrip) {
    const float* row[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      row[r] = scan.rows + (first + r < scan.n_rows ? first + r : scan.n_rows - 1) * scan.stride;
    }
    Vector score[kStrip][kVectors];
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) score[r][0] = score[r][1] = Vector{};
    const float* cells = scan.cells;
    for (std::int64_t i = 0; i < scan.dim; ++i, cells += kPanel) {
      const Vector cell0 = load(cells);
      const Vector cell1 = load(cells + kLanes);
#pragma GCC unroll 14
      for (int r = 0; r < kStrip; ++r) {
        const Vector coordinate = broadcast(row[r][i]);
        score[r][0] += coordinate * cell0;
        score[r][1] += coordinate * cell1;
      }
    }
    const int strip = scan.n_rows - first < kStrip ? static_cast<int>(scan.n_rows - first) : kStrip;
#pragma GCC unroll 14
    for (int r = 0; r < kStrip; ++r) {
      if (r == strip) break;
      const Vector reach = broadcast(scan.reaches[first + r]);
      const Vector grown0 = limit0 - reach * (radius0 + half * reach);
      const Vector grown1 = limit1 - reach * (radius1 + half * reach);
      scan.near[first + r] = lanes_reaching(score[r][0], smaller(grown0, column_limit0)) |
                             lanes_reaching(score[r][1], smaller(grown1, column_limit1)) << kLanes;
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
    PYREDUND_NAME(PYREDUND_ISA),
    kPanel,
    kStrip,
    {pack_floats, scan_floats},
    kBytes,
    approximate,
    project,
    mark_near,
    score,
};

}  // namespace pyredund::cpu
