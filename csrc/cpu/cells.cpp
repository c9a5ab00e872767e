#include "cpu/cells.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pyredund::cpu {
namespace {

// Covers the float32 arithmetic of centres, radii and of the test itself, whose numbers are at most a few units large:
// sums of some 20 products, each off by 2^-24 of its size.
constexpr double kRounding = 1e-5;

// The mean of the places [begin, end) of short rows goes to `centre`; returns a radius around it that holds them all.
double enclose(const Sketch& sketch, std::int64_t begin, std::int64_t end, float* centre) {
  const std::int64_t stride = sketch.cells_dim;
  std::vector<double> sum(static_cast<std::size_t>(stride), 0.0);
  for (std::int64_t p = begin; p < end; ++p) {
    for (std::int64_t c = 0; c < stride; ++c) sum[c] += sketch.cells[p * stride + c];
  }
  for (std::int64_t c = 0; c < stride; ++c) centre[c] = static_cast<float>(sum[c] / static_cast<double>(end - begin));
  double farthest = 0.0;
  for (std::int64_t p = begin; p < end; ++p) {
    double distance = 0.0;
    for (std::int64_t c = 0; c < stride; ++c) {
      const double difference = static_cast<double>(sketch.cells[p * stride + c]) - centre[c];
      distance += difference * difference;
    }
    farthest = std::max(farthest, distance);
  }
  return std::sqrt(farthest) + kRounding;
}

}  // namespace

Cells::Cells(const Sketch& sketch, std::int64_t panel_width)
    : sketch(sketch), panel_width(panel_width), stride(sketch.cells_dim) {
  const std::int64_t n_cells = (sketch.n_rows + panel_width - 1) / panel_width;
  centres.resize(static_cast<std::size_t>(n_cells * stride));
  for (std::int64_t cell = 0; cell < n_cells; ++cell) {
    float* const centre = centres.data() + cell * stride;
    const std::int64_t begin = cell * panel_width, end = std::min(sketch.n_rows, begin + panel_width);
    radii.push_back(static_cast<float>(enclose(sketch, begin, end, centre)));
    double centre_squared = 0.0;
    for (std::int64_t c = 0; c < stride; ++c) centre_squared += static_cast<double>(centre[c]) * centre[c];
    // A row z is near only if |z - centre| <= reach + radius, that is, with |z| at least 1 up to a rounding,
    // z.centre >= (1 + |centre|^2 - radius^2) / 2 - reach * radius - reach^2 / 2.
    const double radius = radii.back();
    limits.push_back(static_cast<float>((1.0 + centre_squared - radius * radius) / 2.0 - kRounding));
  }
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  block_centres.resize(static_cast<std::size_t>(n_blocks * stride));
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    const std::int64_t begin = block * sketch.block, end = std::min(sketch.n_rows, begin + sketch.block);
    block_radii.push_back(enclose(sketch, begin, end, block_centres.data() + block * stride));
  }
}

bool Cells::are_apart(std::int64_t block, std::int64_t other, double reach) const {
  double squared = 0.0;
  for (std::int64_t c = 0; c < stride; ++c) {
    const double difference =
        static_cast<double>(block_centres[block * stride + c]) - block_centres[other * stride + c];
    squared += difference * difference;
  }
  return std::sqrt(squared) > block_radii[block] + block_radii[other] + reach;
}

NearRows::NearRows(const Kernels& kernels, const Cells& cells, const std::atomic<float>* bars, bool symmetric)
    : kernels_(kernels),
      cells_(cells),
      bars_(bars),
      symmetric_(symmetric),
      packed_(static_cast<std::size_t>(kernels.panel_width * (cells.stride + 1))),
      radii_(static_cast<std::size_t>(kernels.panel_width)),
      limits_(radii_.size()),
      column_limits_(radii_.size()) {}

// How far, at most, a short row can lie from another when their similarity reaches the bar:
// |z - z'|^2 = |z|^2 + |z'|^2 - 2 z.z' <= 2 - 2 (bar - slack), up to a rounding of the norms.
float NearRows::reach(float bar) const {
  const double lowest = std::max(-1.0, static_cast<double>(bar) - cells_.sketch.cells_slack);
  return static_cast<float>(std::sqrt(std::max(0.0, 2.0 - 2.0 * lowest + kRounding)) + kRounding);
}

bool NearRows::enter(const Tile& tile) {
  tile_ = tile;
  group_begin_ = group_end_ = 0;
  reaches_.resize(static_cast<std::size_t>(tile.row_end - tile.row_begin));
  near_.resize(reaches_.size());
  picks_.resize(reaches_.size() + 16);
  float lowest = std::numeric_limits<float>::infinity();
  for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row)
    lowest = std::min(lowest, bars_[row].load(std::memory_order_relaxed));
  for (std::int64_t column = tile.column_begin; symmetric_ && column < tile.column_end; ++column) {
    lowest = std::min(lowest, bars_[column].load(std::memory_order_relaxed));
  }
  const std::int64_t block = cells_.sketch.block;
  if (cells_.are_apart(tile.row_begin / block, tile.column_begin / block, reach(lowest))) return false;
  for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row) {
    reaches_[row - tile.row_begin] = reach(bars_[row].load(std::memory_order_relaxed));
  }
  return true;
}

void NearRows::mark_group(std::int64_t first_cell) {
  const std::int64_t width = cells_.panel_width;
  group_begin_ = first_cell;
  group_end_ = std::min({first_cell + width, cells_.count(), (tile_.column_end + width - 1) / width});
  const std::int64_t n_cells = group_end_ - group_begin_, n_rows = tile_.row_end - tile_.row_begin;
  std::fill(limits_.begin(), limits_.end(), std::numeric_limits<float>::infinity());
  std::fill(column_limits_.begin(), column_limits_.end(), std::numeric_limits<float>::infinity());
  for (std::int64_t c = 0; c < n_cells; ++c) {
    const std::int64_t cell = group_begin_ + c;
    radii_[c] = cells_.radii[cell];
    limits_[c] = cells_.limits[cell];
    if (!symmetric_) continue;
    float lowest = std::numeric_limits<float>::infinity();
    const std::int64_t end = std::min(tile_.column_end, (cell + 1) * width);
    for (std::int64_t column = cell * width; column < end; ++column)
      lowest = std::min(lowest, bars_[column].load(std::memory_order_relaxed));
    const float far = reach(lowest);
    column_limits_[c] = limits_[c] - far * (radii_[c] + 0.5f * far);
  }
  kernels_.floats.pack_panel(cells_.centres.data() + group_begin_ * cells_.stride,
                             cells_.stride * static_cast<std::int64_t>(sizeof(float)), n_cells, cells_.stride,
                             packed_.data());
  CellScan scan{};
  scan.rows = cells_.sketch.cells + tile_.row_begin * cells_.stride;
  scan.stride = scan.dim = cells_.stride;
  scan.n_rows = n_rows;
  scan.cells = packed_.data();
  scan.reaches = reaches_.data();
  scan.radii = radii_.data();
  scan.limits = limits_.data();
  scan.column_limits = column_limits_.data();
  scan.near = near_.data();
  kernels_.mark_near(scan);
}

NearRows::Picks NearRows::of_panel(std::int64_t column, std::int64_t n_rows) {
  const std::int64_t cell = column / cells_.panel_width;
  if (cell < group_begin_ || cell >= group_end_) mark_group(cell);
  const auto bit = static_cast<int>(cell - group_begin_);
  return {picks_.data(), kernels_.rows_near(near_.data(), n_rows, bit, picks_.data())};
}

}  // namespace pyredund::cpu
