#include "cpu/byte_bounds.hpp"

#include <algorithm>

namespace pyredund::cpu {

CentreProducts::CentreProducts(const Kernels& kernels, MatrixView unit_rows, const Sketch& sketch,
                               std::int64_t most_bytes, int n_threads, const Watch& watch) {
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  const std::int64_t bytes = sketch.n_rows * n_blocks * static_cast<std::int64_t>(sizeof(float));
  if (bytes > most_bytes) return;
  n_rows_ = sketch.n_rows;
  bytes_ = bytes;
  products_.reset(new float[static_cast<std::size_t>(n_rows_ * n_blocks)]);
  const MatrixView centres{sketch.centres, n_blocks, sketch.z_dim, sketch.z_stride};
  const MatrixView z =
      sketch.bounds == nullptr ? unit_rows : MatrixView{sketch.bounds, n_rows_, sketch.z_dim, sketch.bounds_stride};
  products_by_direction(kernels, z, centres, products_.get(), n_threads, watch);
}

void ByteBounds::products_with(std::int64_t block, std::int64_t begin, std::int64_t end,
                               std::vector<float>& out) const {
  out.resize(static_cast<std::size_t>(end - begin));
  if (const float* made = made_.with(block)) {
    std::copy(made + begin, made + end, out.begin());
    return;
  }
  for (std::int64_t p = begin; p < end; p += 4) {
    const float* together[4];
    const std::int64_t count = std::min<std::int64_t>(4, end - p);
    for (std::int64_t r = 0; r < count; ++r) together[r] = sketch_.z(unit_rows_, p + r);
    kernels_.project(together, count, sketch_.centres + block * sketch_.z_stride, 1, sketch_.z_stride,
                     out.data() + (p - begin), 1);
  }
}

void ByteBounds::enter(const Tile& tile) {
  const std::int64_t a = tile.row_begin / sketch_.block, b = tile.column_begin / sketch_.block;
  const float* const centre_a = sketch_.centres + a * sketch_.z_stride;
  const float* const centre_b = sketch_.centres + b * sketch_.z_stride;
  double centres = 0.0;
  for (std::int64_t c = 0; c < sketch_.z_stride; ++c) centres += static_cast<double>(centre_a[c]) * centre_b[c];
  scale_ = static_cast<double>(sketch_.scales[a]) * sketch_.scales[b];
  products_with(b, tile.row_begin, tile.row_end, row_offsets_);
  products_with(a, tile.column_begin, tile.column_end, column_offsets_);
  // Every offset stands for a similarity of magnitude 2 at most, so float32 rounds it by 2^-23 of that, which the
  // sketch's margin covers.
  const double most_a = sketch_.most_errors[a], most_b = sketch_.most_errors[b];
  double longest_a = 0.0, longest_b = 0.0;  // with their errors
  for (std::int64_t p = tile.row_begin; p < tile.row_end; ++p) {
    longest_a = std::max(longest_a, static_cast<double>(sketch_.norms[p]) + sketch_.errors[p]);
  }
  for (std::int64_t p = tile.column_begin; p < tile.column_end; ++p) {
    longest_b = std::max(longest_b, static_cast<double>(sketch_.norms[p]));
  }
  for (std::int64_t p = tile.row_begin; p < tile.row_end; ++p) {
    const double norm = sketch_.norms[p], error = sketch_.errors[p];
    const double added = (norm + error) * most_b + std::max(0.0, error - most_a) * longest_b + sketch_.margin;
    float& offset = row_offsets_[p - tile.row_begin];
    offset = static_cast<float>(scale_ * (static_cast<double>(offset) + added));
  }
  for (std::int64_t p = tile.column_begin; p < tile.column_end; ++p) {
    const double norm = sketch_.norms[p], error = sketch_.errors[p];
    const double added = norm * most_a + longest_a * std::max(0.0, error - most_b);
    float& offset = column_offsets_[p - tile.column_begin];
    offset = static_cast<float>(scale_ * (static_cast<double>(offset) - centres + added));
  }
}

}  // namespace pyredund::cpu
