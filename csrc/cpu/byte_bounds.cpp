#include "cpu/byte_bounds.hpp"

#include <algorithm>

namespace pyredund::cpu {

CentreProducts::CentreProducts(const Kernels& kernels, MatrixView unit_rows, const Sketch& sketch,
                               std::int64_t most_bytes, int n_threads, const Watch& watch) {
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  longest_.assign(static_cast<std::size_t>(n_blocks), 0.0);
  longest_with_error_ = longest_;
  for (std::int64_t p = 0; p < sketch.n_rows; ++p) {
    double &longest = longest_[p / sketch.block], &with_error = longest_with_error_[p / sketch.block];
    longest = std::max(longest, static_cast<double>(sketch.norms[p]));
    with_error = std::max(with_error, static_cast<double>(sketch.norms[p]) + sketch.errors[p]);
  }
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
  products_with(b, tile.row_begin, tile.row_end, row_products_);
  products_with(a, tile.column_begin, tile.column_end, column_products_);
  row_offsets_.resize(row_products_.size());
  column_offsets_.resize(column_products_.size());
  const double most_a = sketch_.most_errors[a], most_b = sketch_.most_errors[b];
  const double longest_a = made_.longest_with_error(a), longest_b = made_.longest(b);
  const auto rounded_up = [](double offset) { return static_cast<std::int32_t>(offset) + 1; };
  const float *norms = sketch_.norms + tile.row_begin, *errors = sketch_.errors + tile.row_begin;
  for (std::size_t i = 0; i < row_offsets_.size(); ++i) {
    const double norm = norms[i], error = errors[i];
    const double added = (norm + error) * most_b + std::max(0.0, error - most_a) * longest_b + sketch_.margin;
    row_offsets_[i] = rounded_up(scale_ * (row_products_[i] + added));
  }
  norms = sketch_.norms + tile.column_begin, errors = sketch_.errors + tile.column_begin;
  for (std::size_t i = 0; i < column_offsets_.size(); ++i) {
    const double added = norms[i] * most_a + longest_a * std::max(0.0, errors[i] - most_b);
    column_offsets_[i] = rounded_up(scale_ * (column_products_[i] - centres + added));
  }
}

}  // namespace pyredund::cpu
