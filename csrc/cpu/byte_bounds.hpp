#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/sketch.hpp"
#include "cpu/tile.hpp"

namespace pyredund::cpu {

// The products of all rows z with the centres of all blocks, made at once: a pass over the rows for every tile would be
// bound by the cache that they come from. Empty where they would take more than some bytes. Beside them what else tiles
// ask of blocks.
class CentreProducts {
 public:
  CentreProducts(const Kernels& kernels, MatrixView unit_rows, const Sketch& sketch, std::int64_t most_bytes,
                 int n_threads, const Watch& watch);

  // The longest of a block's rows u, without and with the error of its bytes.
  double longest(std::int64_t block) const { return longest_[block]; }
  double longest_with_error(std::int64_t block) const { return longest_with_error_[block]; }
  const float* with(std::int64_t block) const { return products_ ? products_.get() + block * n_rows_ : nullptr; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t n_rows_ = 0, bytes_ = 0;
  std::vector<double> longest_, longest_with_error_;
  std::unique_ptr<float[]> products_;  // of all rows with the first centre, then with the second, ...
};

// What one thread needs to bound the pairs of a tile by bytes. For a row of block A, z = a + u, and a column of block
// B, z' = b + v, with centres a and b,
//   z.z' = z.b + (z'.a - a.b) + u.v,   u.v <= (bytes of u).(bytes of v) / scale + e |v| + (|u| + e) f,
// where e and f are the errors of their bytes. With the most common errors E of A and F of B, and the longest rows U
// and V,
//   e |v| <= E |v| + max(0, e - E) V   and   (|u| + e) f <= (|u| + e) F + (U + e) max(0, f - F),
// so all but the product of bytes can be added to the bound row by row and column by column.
class ByteBounds {
 public:
  ByteBounds(const Kernels& kernels, MatrixView unit_rows, const Sketch& sketch, const CentreProducts& made)
      : kernels_(kernels), unit_rows_(unit_rows), sketch_(sketch), made_(made) {}

  void enter(const Tile& tile);
  // In units of the sums of products of bytes, as whole numbers that leave bounds too high if anything: offsets are
  // rounded up, bars down, by two units at most.
  const std::int32_t* row_offsets() const { return row_offsets_.data(); }
  const std::int32_t* column_offsets() const { return column_offsets_.data(); }
  std::int32_t limit(float bar) const {
    // Offsets are products with centres, of magnitude 2 at most, in units of 2^-26 or more (kFinest of sketch.cpp), and
    // some errors, whose sums with products of bytes stay below 2^23: nothing leaves 32 bits, and only infinite bars
    // are cut.
    const double most = 1073741824.0;
    return static_cast<std::int32_t>(std::min(std::max(scale_ * static_cast<double>(bar), -most), most)) - 1;
  }

 private:
  void products_with(std::int64_t block, std::int64_t begin, std::int64_t end, std::vector<float>& out) const;

  const Kernels& kernels_;
  MatrixView unit_rows_;
  const Sketch& sketch_;
  const CentreProducts& made_;
  double scale_ = 1.0;  // from similarities to sums of products of bytes
  std::vector<float> row_products_, column_products_;
  std::vector<std::int32_t> row_offsets_, column_offsets_;
};

}  // namespace pyredund::cpu
