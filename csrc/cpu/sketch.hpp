#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// A coarse copy of the unit rows that rules most pairs out. How far each bound may be off is derived in _sketch.py,
// which chooses the numbers. Everything lies by place, the unit rows themselves included: they have been put into an
// order in which near rows have near places, and place p holds what was row order[p].
//
// Rows z, either the unit rows x themselves or shorter, with x.x' <= z.z' + a slack, are cut into blocks of places.
// With u = R (z - centre of its block), R a rotation, z.z' is a product of u and u' and of z and z' with the other's
// centre. u is rounded to bytes, in units of one over its block's scale.
struct Sketch {
  std::int64_t n_rows = 0;
  const std::int32_t* order = nullptr;  // null: place p holds row p

  std::int64_t dim = 0;           // of a row of bytes: a multiple of 4, at most 256; 0: there is no sketch
  std::int64_t block = 0;         // places of a block: a multiple of the panel width
  std::uint8_t* bytes = nullptr;  // plus 128
  float* errors = nullptr;        // for each row, at least |u - bytes / scale|
  float* norms = nullptr;         // for each row, at least |u|
  float* centres = nullptr;       // for each block, z_dim coordinates in z_stride floats
  float* scales = nullptr;        // for each block
  float* most_errors = nullptr;   // for each block, an error that a quarter of its rows exceed
  std::int64_t z_dim = 0, z_stride = 0;
  double margin = 0.0;  // of everything but the rounding to bytes

  // Bounds: z in the first z_stride floats, its last coordinate being the norm of what lies beyond the others; then
  // more coordinates, up to each of `lengths`, and behind all of them the norm of what lies beyond each. x.x' <= the
  // product of the coordinates up to a length + norm * norm' + bounds_slack.
  float* bounds = nullptr;  // null: z is x
  std::int64_t bounds_stride = 0;
  std::vector<std::int64_t> lengths;  // ascending, from z_stride on, multiples of 8
  double bounds_slack = 0.0;

  // Whole rows as 16-bit words, in units of 1 / kWordScale, for wide rows: half as much to read as floats, and nearly
  // as sharp. Padded with zeros to a multiple of kWordsTogether. Null: there are none.
  std::int16_t* words = nullptr;
  std::int64_t words_stride = 0;
  float* word_errors = nullptr;  // for each row, at least |x - words / kWordScale|

  // Cells: short rows z, and the caps around them (cell_caps.hpp). With norms N between 1, less a rounding, and (1 +
  // s)^ (1/2), the cosine of two of them is at least x.x' - cells_slack + s where x.x' is not negative. Null: there are
  // none.
  const float* cells = nullptr;
  const float* cell_centres = nullptr;
  const float* cell_cosines = nullptr;
  std::int64_t cells_dim = 0, n_cells = 0;
  double cells_slack = 0.0;

  std::int32_t row_at(std::int64_t place) const {
    return order != nullptr ? order[place] : static_cast<std::int32_t>(place);
  }
  const float* z(MatrixView unit_rows, std::int64_t place) const {
    return bounds != nullptr ? bounds + place * bounds_stride : unit_rows.row(place);
  }
};

// A row of words has norm kWordScale (1 + 2^-22) + sqrt(d) / 2 at most, less than 2^15.5 up to d = 160,000, so that by
// Cauchy-Schwarz no sum of products of two rows' words leaves 32 bits, nor any part of it.
constexpr double kWordScale = 46140.0;
constexpr double kWordUnit = 1.0 / (kWordScale * kWordScale);  // of products of words

// The product of the words of two rows, and how far x.x' can lie from it: with x = words / kWordScale + r, |r| <= e,
// x.x' = words.words' / kWordScale^2 + r.words' / kWordScale + x.r', within e (|x'| + e') + |x| e'.
inline double word_product(const Kernels& kernels, const Sketch& sketch, std::int64_t place, std::int64_t other) {
  return kWordUnit * kernels.multiply_words(sketch.words + place * sketch.words_stride,
                                            sketch.words + other * sketch.words_stride, sketch.words_stride);
}
inline double word_slack(const Sketch& sketch, std::int64_t place, std::int64_t other) {
  const double e = sketch.word_errors[place], f = sketch.word_errors[other];
  return 1.000001 * (e + f) + e * f;
}

// How a sketch is made from unit rows.
struct SketchRecipe {
  MatrixView directions;  // p = directions * x, one direction a row
  double norm_slack;      // added to 1 - |p|^2 before the root is taken, so that norms are large enough
  MatrixView rotation;    // Sketch::dim rows of z_dim coordinates
  double error_slack;     // added to errors and norms for the rounding of u
};

// out[i * directions.rows + j] is about the product of row i with direction j.
void products(const Kernels& kernels, MatrixView rows, MatrixView directions, float* out, int n_threads, Watch& watch);

// The same by direction: out[j * rows.rows + i].
void products_by_direction(const Kernels& kernels, MatrixView rows, MatrixView directions, float* out, int n_threads,
                           const Watch& watch);

// Short rows (p, norm beyond p) of all rows, in the order of the rows: `out` has rows of `stride` floats.
void short_rows(const Kernels& kernels, MatrixView rows, MatrixView directions, double norm_slack, std::int64_t stride,
                float* out, int n_threads, Watch& watch);

// Fills the arrays of a sketch whose sizes and order are set.
void fill_sketch(const Kernels& kernels, MatrixView rows, const SketchRecipe& recipe, const Sketch& sketch,
                 int n_threads, Watch& watch);

}  // namespace pyredund::cpu
