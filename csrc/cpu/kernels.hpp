#pragma once

#include <cstdint>

namespace pyredund::cpu {

constexpr std::int64_t kWordsTogether = 32;  // what rows of 16-bit numbers are padded to a multiple of

// A pair that the scan could not rule out. Indices are relative to the scanned rows and to the panel; kernels of pairs
// take them as rows of one matrix.
struct Survivor {
  std::int32_t row;
  std::int32_t column;
  float approximate;  // score of a scan of floats; bytes leave it 0
};

// One packed panel of columns against a run of rows. A pair survives when its approximate score reaches the bar of its
// row or the bar of its column. Bytes score whole numbers, and their bars and offsets are whole numbers too; no sum of
// a score and its two offsets leaves 32 bits.
struct PanelScan {
  const void* rows;
  std::int64_t stride;        // bytes from one row to the next
  std::int64_t n_rows;        // of those scanned
  const std::int32_t* picks;  // which rows those are; null: the first n_rows
  const void* panel;          // as packed by the same scanner
  std::int64_t dim;
  std::int64_t n_columns;          // at most panel_width; what lies beyond is zero
  const float* row_bars;           // of floats
  const float* column_bars;        // panel_width of them
  const std::int32_t* row_limits;  // bars of bytes
  const std::int32_t* column_limits;
  const std::int32_t* row_offsets;  // added to the scores of a row, and of a column
  const std::int32_t* column_offsets;
  Survivor* survivors;
  std::int64_t capacity;
};

// A group of cells, each a panel of columns, against a run of rows: which rows come near enough to which cell? Cell c
// has the centre that is packed as column c, and row r is near if centre.row reaches either
//   row_cosines[r] * cell_cosines[c] - row_sines[r] * cell_sines[c]   or   column_limits[c].
struct CellScan {
  const float* rows;
  std::int64_t stride;        // floats from one row to the next
  std::int64_t n_rows;        // of those marked
  const std::int32_t* picks;  // which rows those are; null: the first n_rows
  const float* cells;         // as packed by the scanner of floats
  std::int64_t dim;
  const float* row_cosines;
  const float* row_sines;
  const float* cell_cosines;
  const float* cell_sines;
  const float* column_limits;
  std::uint32_t* near;  // for each row marked, bit c for cell c
};

// Products of rows with the columns of a panel: out[r * out_stride + c], float32 sums of which 32 products each are
// added up first.
struct PanelProduct {
  const float* rows;
  std::int64_t stride;        // floats from one row to the next
  std::int64_t n_rows;        // of those multiplied
  const std::int32_t* picks;  // which rows those are; null: the first n_rows
  const float* panel;         // as packed by the scanner of floats
  std::int64_t dim;
  std::int64_t n_columns;
  float* out;
  std::int64_t out_stride;
};

// One way of scanning. `floats` takes rows of float32. `bytes` takes rows and columns of signed bytes stored plus 128,
// `dim` a multiple of 4, and scores the integer sum of their products plus the two offsets. No byte is -128. Where sums
// have 16 bits (`narrow_sums`), the magnitudes of coordinates 2i and 2i + 1 of a column sum to 128 at most, and a row's
// coordinates with i % 4 < 2 square to less than 2^15, as do the others: then nothing overflows. It is absent (null)
// where the set has no fast byte product.
struct Scanner {
  // Needs room for panel_width * (dim + 1) floats.
  void (*pack_panel)(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* panel);
  // Appends to survivors[*n_survivors] and returns how many rows were done: fewer than n_rows when the next strip might
  // not fit into the capacity.
  std::int64_t (*scan_panel)(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors);
  bool narrow_sums;
};

// The kernels of one instruction set. All sets return the same bits for `score` and `score_pairs`; scans are only
// bounds, good to their margins (tile_scan.cpp, sketch.hpp), and may differ in their last bits.
struct Kernels {
  const char* name;
  int panel_width;
  int strip_height;  // scans work on this many rows at once
  Scanner floats;
  Scanner bytes;

  // A float32 sum of products of float32, in any order; `stride` is a multiple of 8.
  float (*approximate)(const float* x, const float* y, std::int64_t stride);

  // The same for rows pairs[s].row and pairs[s].column, of each the first `count` floats, a multiple of 8.
  void (*approximate_pairs)(const float* rows, std::int64_t stride, std::int64_t count, const Survivor* pairs,
                            std::int64_t n_pairs, float* out);

  // The integer sum of products of 16-bit numbers, which must stay within 32 bits, in whatever parts it is summed, and
  // none of which is -2^15; `stride` is a multiple of kWordsTogether.
  std::int32_t (*multiply_words)(const std::int16_t* x, const std::int16_t* y, std::int64_t stride);

  // The same for rows pairs[s].row and pairs[s].column.
  void (*multiply_word_pairs)(const std::int16_t* rows, std::int64_t stride, const Survivor* pairs,
                              std::int64_t n_pairs, std::int32_t* out);

  // out[r * out_stride + c] is about the product of row r with direction c, for `strip` rows, a float32 sum of which
  // every eighth product is added up first; `stride` is a multiple of 8.
  void (*project)(const float* const* rows, std::int64_t n_rows, const float* directions, std::int64_t n_directions,
                  std::int64_t stride, float* out, std::int64_t out_stride);

  // out = the sum of rows, each times its weight; `stride` is a multiple of 8.
  void (*weighted_sum)(const float* rows, std::int64_t stride, const float* weights, std::int64_t n_rows, float* out);

  // out[i] = x[i] / divisor in float64, rounded to float32, and +0 for -0.
  void (*divide)(const float* x, std::int64_t count, double divisor, float* out);

  // The squares of a row's coordinates i with i % 4 < 2, added up, and of the others; `dim` is a multiple of 4.
  void (*half_squares)(const float* u, std::int64_t dim, double* out);

  // Rounds u times `factor` to whole numbers of magnitude 127 at most, where sums are narrow so that every two of a
  // pair (coordinates 2i and 2i + 1) have magnitudes that sum to 128 at most, and stores them plus 128. Returns the
  // square of the length of u less those numbers times `unit`. `dim` is a multiple of 4.
  double (*round_bytes)(const float* u, std::int64_t dim, double factor, double unit, bool narrow_sums,
                        std::uint8_t* out);

  void (*multiply_panel)(const PanelProduct& job);

  // out[c] is a value that at least `count` of the products of column c reach, close below the count-th largest; -2.5
  // if there are fewer.
  void (*reached_by)(const float* products, std::int64_t n_rows, std::int64_t count, float* out);

  // Marks rows near cells; see CellScan.
  void (*mark_near)(const CellScan& scan);

  // Those of the rows, in their order, whose mark for this cell is set; returns how many. `out` needs room for n_rows +
  // 16.
  std::int64_t (*rows_near)(const std::uint32_t* near, const std::int32_t* rows, std::int64_t n_rows, int cell,
                            std::int32_t* out);

  // The score of two rows before it is rounded to float32: products of float32 are exact in float64; they are
  // summed in eight lanes (coordinate mod 8), and the lanes as ((0+4)+(2+6)) + ((1+5)+(3+7)).
  double (*score)(const float* x, const float* y, std::int64_t stride);

  // The same for rows pairs[s].row and pairs[s].column; `out` needs room for n_pairs + 1.
  void (*score_pairs)(const float* rows, std::int64_t stride, const Survivor* pairs, std::int64_t n_pairs, double* out);
};

extern const Kernels kKernels_baseline;
extern const Kernels kKernels_avx2;
extern const Kernels kKernels_avx512;
extern const Kernels kKernels_avx512vnni;

}  // namespace pyredund::cpu
