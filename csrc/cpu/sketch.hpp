#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "matrix_view.hpp"

namespace pyredund::cpu {

// A short, coarse copy of the unit rows that rules most pairs out. Each unit row x has a bound row z with
// z.z' >= x.x' - slack for every pair, and z is rounded to bytes twice: to `rows` (plus 128) and to `columns`. For
// every pair, z.z' <= (row - 128).column / scale + margin, unless one of the two is marked in `always`: those must
// survive.
struct Sketch {
  const std::uint8_t* rows = nullptr;
  const std::int8_t* columns = nullptr;
  const std::uint8_t* always = nullptr;
  std::int64_t dim = 0;  // a multiple of 4, at most 256; 0: there is no sketch
  double scale = 0.0;
  double margin = 0.0;
  double slack = 0.0;
  MatrixView bounds;  // z itself, where it is shorter than x

  // The bar that an integer score has to reach so that no similarity whose bar is `bar` is lost.
  float bar(float bar, std::int64_t row) const {
    if (always[row]) return -std::numeric_limits<float>::infinity();
    return static_cast<float>(std::floor(scale * (static_cast<double>(bar) - margin)) - 1.0);
  }
};

}  // namespace pyredund::cpu
