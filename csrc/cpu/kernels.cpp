// Compiled once per instruction set (PYREDUND_ISA). This object must define no weak symbol, or the linker
// might let an older processor run a newer one's copy: no STL, no templates, everything but the table in an
// anonymous namespace.
#include "cpu/kernels.hpp"

#include "cpu/kernel_cells.hpp"
#include "cpu/kernel_products.hpp"
#include "cpu/kernel_rounding.hpp"
#include "cpu/kernel_vectors.hpp"

namespace pyredund::cpu {
namespace {

// The columns of a panel, one bit each, that reach their bars in each row of a strip.
typedef std::uint32_t Hits[kStrip];

// Which scores reach the smaller of their bars. True where any do.
inline bool find_hits(const float* column_bars, const float* row_bar, const Vector (&score)[kStrip][kVectors],
                      Hits& hits) {
  std::uint32_t any = 0;
#pragma GCC unroll 12
  for (int r = 0; r < kStrip; ++r) {
    hits[r] = 0;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Vector bar = smaller(broadcast(row_bar[r]), load(column_bars + v * kLanes));
      hits[r] |= lanes_reaching(score[r][v], bar) << (v * kLanes);
    }
    any |= hits[r];
  }
  return any != 0;
}

// `scores` are those of the strip, or null where nobody asks for them.
__attribute__((noinline)) Survivor* append_survivors(const PanelScan& scan, std::int64_t first, const Hits& hits,
                                                     const float (*scores)[kPanel], Survivor* next) {
  const std::uint32_t in_panel = scan.n_columns < 32 ? (1u << scan.n_columns) - 1 : ~0u;
  const int strip = scan.n_rows - first < kStrip ? static_cast<int>(scan.n_rows - first) : kStrip;
  for (int r = 0; r < strip; ++r) {
    std::uint32_t bits = hits[r] & in_panel;
    if (bits == 0) continue;
    const std::int32_t row = picked(scan, first + r);
    for (; bits != 0; bits &= bits - 1) {
      const int column = __builtin_ctz(bits);
      *next++ = {row, column, scores != nullptr ? scores[r][column] : 0.0f};
    }
  }
  return next;
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
    multiply(row, static_cast<const float*>(scan.panel), scan.dim, score);
    Hits hits;
    if (!find_hits(scan.column_bars, row_bar, score, hits)) continue;
    float stored[kStrip][kPanel];  // only here do scores leave the registers
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) store(stored[r] + v * kLanes, score[r][v]);
    }
    next = append_survivors(scan, first, hits, stored, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
}

#if defined(__AVX2__)
// Four coordinates of each column lie together: panel[(coordinate / 4 * kPanel + column) * 4 + coordinate % 4]. Behind
// them lies what the sums start from: rows are stored plus 128, and 128 times the column's sum is taken off beforehand,
// in 32-bit integers, or in 16-bit ones (of the first and of the second pair of every four coordinates) that may wrap
// on the way but not in the end.
void pack_bytes(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* packed) {
  std::int8_t* const panel = static_cast<std::int8_t*>(packed);
  constexpr std::int64_t kTogether = sizeof(Bytes);  // coordinates
  const Bytes offset = repeated(-128), ones = repeated(1);
  for (int v = 0; v < kVectors; ++v) {
    Bytes sums = Bytes{};
    for (std::int64_t i = 0; i < dim; i += kTogether) {
      const std::int64_t count = dim - i < kTogether ? dim - i : kTogether;
      Bytes four[kLanes];  // at first those of a column, then the same four of all columns
      for (int lane = 0; lane < kLanes; ++lane) {
        four[lane] = offset;
        const std::int64_t column = v * kLanes + lane;
        if (column >= n_columns) continue;
        const std::uint8_t* const from = static_cast<const std::uint8_t*>(columns) + column * stride + i;
        if (count == kTogether) {
          four[lane] = load_bytes(from);
        } else {
          __builtin_memcpy(&four[lane], from, static_cast<std::size_t>(count));
        }
      }
      transpose(four);
      for (std::int64_t g = 0; g < count / 4; ++g) {
        sums = add_products(sums, four[g], ones);
        const Bytes centred = four[g] ^ offset;  // takes 128 off
        __builtin_memcpy(panel + ((i / 4 + g) * kPanel + v * kLanes) * 4, &centred, sizeof centred);
      }
    }
    const Bytes start = start_of(sums, dim);
    __builtin_memcpy(panel + dim * kPanel + v * kLanes * 4, &start, sizeof start);
  }
}

std::int64_t scan_bytes(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors) {
  Survivor* const end = scan.survivors + scan.capacity - kStrip * kPanel;
  Survivor* next = scan.survivors + *n_survivors;
  Bytes start[kVectors];
  Mask column_offset[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    start[v] = load_bytes(static_cast<const std::int8_t*>(scan.panel) + scan.dim * kPanel + v * 4 * kLanes);
    column_offset[v] = load(scan.column_offsets + v * kLanes);
  }
  std::int64_t first = first_row;
  for (; first < scan.n_rows && next <= end; first += kStrip) {
    const std::uint8_t* row[kStrip];
    std::int32_t row_limit[kStrip], row_offset[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = row_of_strip(scan, first + r);
      row[r] = static_cast<const std::uint8_t*>(scan.rows) + at * scan.stride;
      row_limit[r] = scan.row_limits[at];
      row_offset[r] = scan.row_offsets[at];
    }
    Bytes sums[kStrip][kVectors];
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = first_sums(start[v], column_offset[v] + row_offset[r]);
    }
    const std::int8_t* panel = static_cast<const std::int8_t*>(scan.panel);
    for (std::int64_t i = 0; i < scan.dim; i += 4, panel += 4 * kPanel) {
      Bytes column[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) column[v] = load_bytes(panel + v * 4 * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < kStrip; ++r) {
        const Bytes four = broadcast_four(row[r] + i);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] = add_products(sums[r][v], four, column[v]);
      }
    }
    Hits hits;
    std::uint32_t any = 0;
#pragma GCC unroll 12
    for (int r = 0; r < kStrip; ++r) {
      hits[r] = 0;
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const Mask score = total(sums[r][v], column_offset[v] + row_offset[r]);
        const Mask limit = smaller(Mask{} + row_limit[r], load(scan.column_limits + v * kLanes));
        hits[r] |= lanes_reaching(score, limit) << (v * kLanes);
      }
      any |= hits[r];
    }
    if (any != 0) next = append_survivors(scan, first, hits, nullptr, next);
  }
  *n_survivors = next - scan.survivors;
  return (first < scan.n_rows ? first : scan.n_rows) - first_row;
}

#if defined(__AVX512VNNI__)
constexpr Scanner kBytes = {pack_bytes, scan_bytes, false};
#else
constexpr Scanner kBytes = {pack_bytes, scan_bytes, true};
#endif
#else
constexpr Scanner kBytes = {nullptr, nullptr, true};
#endif

constexpr std::int64_t kTogether = 32;  // products added up in registers, before they are added to a longer sum

void multiply_panel(const PanelProduct& job) {
  const bool whole = job.n_columns == kPanel;
  for (std::int64_t first = 0; first < job.n_rows; first += kStrip) {
    const float* row[kStrip];
    for (int r = 0; r < kStrip; ++r) {
      const std::int64_t at = first + r < job.n_rows ? first + r : job.n_rows - 1;
      row[r] = job.rows + (job.picks != nullptr ? job.picks[at] : at) * job.stride;
    }
    Vector sum[kStrip][kVectors];
    std::int64_t count = job.dim < kTogether ? job.dim : kTogether;
    multiply(row, job.panel, count, sum);
    for (std::int64_t i = count; i < job.dim; i += count) {
      for (int r = 0; r < kStrip; ++r) row[r] += count;
      count = job.dim - i < kTogether ? job.dim - i : kTogether;
      Vector product[kStrip][kVectors];
      multiply(row, job.panel + i * kPanel, count, product);
#pragma GCC unroll 12
      for (int r = 0; r < kStrip; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] += product[r][v];
      }
    }
    const int strip = job.n_rows - first < kStrip ? static_cast<int>(job.n_rows - first) : kStrip;
    for (int r = 0; r < strip; ++r) {
      float* const to = job.out + (first + r) * job.out_stride;
      if (whole) {
        for (int v = 0; v < kVectors; ++v) store(to + v * kLanes, sum[r][v]);
      } else {
        __builtin_memcpy(to, sum[r], static_cast<std::size_t>(job.n_columns) * sizeof(float));
      }
    }
  }
}

// For each column a value that at least `count` of its products reach and that lies close below the count-th best:
// halving is several times faster than selecting.
void reached_by(const float* products, std::int64_t n_rows, std::int64_t count, float* out) {
  Vector low[kVectors], high[kVectors];
  for (int v = 0; v < kVectors; ++v) low[v] = broadcast(-2.5f), high[v] = broadcast(1.01f);
  const Mask wanted = Mask{} + static_cast<std::int32_t>(count);
  for (int halving = 0; halving < 12; ++halving) {
    Vector middle[kVectors];
    Mask reaching[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) middle[v] = (low[v] + high[v]) * broadcast(0.5f), reaching[v] = Mask{};
    for (std::int64_t r = 0; r < n_rows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) reaching[v] -= load(products + r * kPanel + v * kLanes) >= middle[v];
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      low[v] = reaching[v] >= wanted ? middle[v] : low[v];
      high[v] = reaching[v] >= wanted ? high[v] : middle[v];
    }
  }
  for (int v = 0; v < kVectors; ++v) store(out + v * kLanes, low[v]);
}

inline double in_fixed_order(Doubles low, Doubles high) {  // lanes 0-3 and 4-7
  const Doubles sum = low + high;
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

double score(const float* x, const float* y, std::int64_t stride) {
  Doubles low = {}, high = {};
  for (std::int64_t i = 0; i < stride; i += 8) {
    low += widen(x + i) * widen(y + i);
    high += widen(x + i + 4) * widen(y + i + 4);
  }
  return in_fixed_order(low, high);
}

void score_pairs(const float* rows, std::int64_t stride, const Survivor* pairs, std::int64_t n_pairs, double* out) {
  for (std::int64_t s = 0; s < n_pairs; s += 2) {  // two at a time, because each sum waits for its last addition
    const Survivor* const two[2] = {pairs + s, pairs + (s + 1 < n_pairs ? s + 1 : s)};
    const float *x[2], *y[2];
    for (int p = 0; p < 2; ++p) {
      x[p] = rows + two[p]->row * stride;
      y[p] = rows + two[p]->column * stride;
      if (s + kPairsAhead + p >= n_pairs) continue;
      __builtin_prefetch(rows + two[p][kPairsAhead].row * stride);
      __builtin_prefetch(rows + two[p][kPairsAhead].column * stride);
    }
    Doubles low[2] = {}, high[2] = {};
    for (std::int64_t i = 0; i < stride; i += 8) {
#pragma GCC unroll 2
      for (int p = 0; p < 2; ++p) {
        low[p] += widen(x[p] + i) * widen(y[p] + i);
        high[p] += widen(x[p] + i + 4) * widen(y[p] + i + 4);
      }
    }
    for (int p = 0; p < 2; ++p) out[s + p] = in_fixed_order(low[p], high[p]);
  }
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
    {pack_floats, scan_floats, false},
    kBytes,
    approximate,
    approximate_pairs,
    multiply_words,
    multiply_word_pairs,
    project,
    weighted_sum,
    divide,
    half_squares,
    round_bytes,
    multiply_panel,
    reached_by,
    mark_near,
    rows_near,
    score,
    score_pairs,
};

}  // namespace pyredund::cpu
