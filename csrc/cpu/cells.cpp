#include "cpu/cells.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace pyredund::cpu {
namespace {

// Taken off every cosine, for roundings: of the norms of centres and short rows, of their product and of the limit,
// together less than 3e-6. Where a reach R is at most 90 degrees and a cap C at most 60, an amount that is taken off
// cos R takes at least half of it off cos(R + C), for that is convex in cos R and rises by cos C + cot R sin C; an
// amount off cos C likewise.
constexpr float kRounding = 1e-5f;
constexpr float kWidestReach = 0.0f, kWidestCap = 0.5f;  // cosines

// Stands for every wider angle. Its sum with another one, as it is computed, is farther than anything.
constexpr Angle kWide{-2.0f, 4.0f};

double angle_at(double cosine) { return std::acos(std::clamp(cosine, -1.0, 1.0)); }

Angle angle_of(float cosine, float widest) {
  const float lowered = std::min(cosine, 1.0f) - kRounding;
  if (!(lowered >= widest)) return kWide;
  return {lowered, std::sqrt((1.0f - lowered) * (1.0f + lowered))};
}

float cosine_of_sum(Angle a, Angle b) { return a.cosine * b.cosine - a.sine * b.sine; }

// Lowered like its parts. Sums of more than 90 degrees are wide too.
Angle operator+(Angle a, Angle b) {
  const float cosine = cosine_of_sum(a, b);
  return cosine >= 0.0f ? Angle{cosine, a.sine * b.cosine + a.cosine * b.sine} : kWide;
}

}  // namespace

Cells::Cells(const Sketch& sketch, std::int64_t panel_width)
    : sketch(sketch),
      panel_width(panel_width),
      stride(sketch.cells_dim),
      slack_(std::nextafter(static_cast<float>(sketch.cells_slack), 3.0f)) {
  const std::int64_t n_cells = (sketch.n_rows + panel_width - 1) / panel_width;
  if (sketch.n_cells != n_cells) throw std::invalid_argument("a sketch must have a cell for every panel");
  for (std::int64_t cell = 0; cell < n_cells; ++cell) caps.push_back(angle_of(sketch.cell_cosines[cell], kWidestCap));
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  block_centres_.resize(static_cast<std::size_t>(n_blocks * stride), 0.0);
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    const std::int64_t of_block = sketch.block / panel_width;
    const std::int64_t first = block * of_block, last = std::min(n_cells, first + of_block);
    double* const mean = block_centres_.data() + block * stride;
    for (std::int64_t cell = first; cell < last; ++cell) {
      for (std::int64_t c = 0; c < stride; ++c) mean[c] += centre(cell)[c];
    }
    const double norm = std::sqrt(std::inner_product(mean, mean + stride, mean, 0.0));
    for (std::int64_t c = 0; norm > 0.0 && c < stride; ++c) mean[c] /= norm;
    double farthest = 0.0;
    for (std::int64_t cell = first; cell < last; ++cell) {
      const double to_centre = angle_at(std::inner_product(mean, mean + stride, centre(cell), 0.0) - kRounding);
      farthest = std::max(farthest, to_centre + angle_at(sketch.cell_cosines[cell] - kRounding));
    }
    block_angles_.push_back(farthest);
  }
}

// The slack holds s of sketch.hpp once more than the cosine of two short rows needs: a product with a centre is N times
// a cosine, and where that is negative, below the cosine by up to s / 2.
Angle Cells::reach(float bar) const { return angle_of(bar - slack_, kWidestReach); }

bool Cells::are_apart(std::int64_t block, std::int64_t other, Angle reach) const {
  const double* const a = block_centres_.data() + block * stride;
  const double* const b = block_centres_.data() + other * stride;
  if (reach.cosine < kWidestReach) return false;
  return angle_at(std::inner_product(a, a + stride, b, 0.0)) >
         block_angles_[block] + block_angles_[other] + angle_at(reach.cosine - kRounding);
}

NearRows::NearRows(const Kernels& kernels, const Cells& cells, const std::atomic<float>* bars)
    : kernels_(kernels),
      cells_(cells),
      bars_(bars),
      packed_(static_cast<std::size_t>(kernels.panel_width * (cells.stride + 1))),
      no_limits_(static_cast<std::size_t>(kernels.panel_width), std::numeric_limits<float>::infinity()),
      column_limits_(no_limits_) {}

float NearRows::lowest_bar(std::int64_t begin, std::int64_t end) const {
  float lowest = std::numeric_limits<float>::infinity();
  for (std::int64_t p = begin; p < end; ++p) lowest = std::min(lowest, bars_[p].load(std::memory_order_relaxed));
  return lowest;
}

bool NearRows::enter(const Tile& tile) {
  tile_ = tile;
  group_begin_ = group_end_ = 0;
  const float lowest =
      std::min(lowest_bar(tile.row_begin, tile.row_end), lowest_bar(tile.column_begin, tile.column_end));
  const std::int64_t block = cells_.sketch.block, width = cells_.panel_width;
  if (cells_.are_apart(tile.row_begin / block, tile.column_begin / block, cells_.reach(lowest))) return false;
  reaches_.resize(tile.row_end - tile.row_begin);
  for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row) {
    const Angle reach = cells_.reach(bars_[row].load(std::memory_order_relaxed));
    reaches_.cosines[row - tile.row_begin] = reach.cosine;
    reaches_.sines[row - tile.row_begin] = reach.sine;
  }
  own_caps_.clear();
  own_reaches_.clear();
  for (std::int64_t row = tile.row_begin; row < tile.row_end; row += width) {
    const Angle cap = cells_.caps[row / width];
    own_caps_.add(cap);
    own_reaches_.add(cap + cells_.reach(lowest_bar(row, std::min(tile.row_end, row + width))));
  }
  return true;
}

void NearRows::mark(const float* rows, std::int64_t n_rows, const std::int32_t* picks, const Angles& of_rows,
                    const Angles& of_cells, const std::vector<float>& column_limits, std::vector<std::uint32_t>& near) {
  near.resize(static_cast<std::size_t>(n_rows));
  CellScan scan{};
  scan.rows = rows;
  scan.stride = scan.dim = cells_.stride;
  scan.n_rows = n_rows;
  scan.picks = picks;
  scan.cells = packed_.data();
  scan.row_cosines = of_rows.cosines.data();
  scan.row_sines = of_rows.sines.data();
  scan.cell_cosines = of_cells.cosines.data();
  scan.cell_sines = of_cells.sines.data();
  scan.column_limits = column_limits.data();
  scan.near = near.data();
  kernels_.mark_near(scan);
}

void NearRows::mark_group(std::int64_t first_cell) {
  const std::int64_t width = cells_.panel_width, stride = cells_.stride;
  group_begin_ = first_cell;
  group_end_ = std::min({first_cell + width, cells_.count(), (tile_.column_end + width - 1) / width});
  caps_.clear();
  cap_reaches_.clear();
  column_limits_ = no_limits_;
  for (std::int64_t cell = group_begin_; cell < group_end_; ++cell) {
    caps_.add(cells_.caps[cell]);
    const Angle reach = cells_.reach(lowest_bar(cell * width, std::min(tile_.column_end, (cell + 1) * width)));
    cap_reaches_.add(cells_.caps[cell] + reach);
    column_limits_[cell - group_begin_] = cosine_of_sum(cells_.caps[cell], reach);
  }
  for (Angles* const angles : {&caps_, &cap_reaches_}) angles->resize(width);
  kernels_.floats.pack_panel(cells_.centre(group_begin_), stride * static_cast<std::int64_t>(sizeof(float)),
                             group_end_ - group_begin_, stride, packed_.data());

  // First the tile's own cells. Where none of their rows can be near, no row is asked.
  const std::int64_t own_begin = tile_.row_begin / width;
  const auto n_own = static_cast<std::int64_t>(own_caps_.cosines.size());
  mark(cells_.centre(own_begin), n_own, nullptr, own_reaches_, caps_, no_limits_, near_);
  mark(cells_.centre(own_begin), n_own, nullptr, own_caps_, cap_reaches_, no_limits_, near_too_);
  const std::uint32_t in_group = (1u << (group_end_ - group_begin_)) - 1;
  rows_.clear();
  for (std::int64_t own = 0; own < n_own; ++own) {
    if (((near_[own] | near_too_[own]) & in_group) == 0) continue;
    const std::int64_t end = std::min(tile_.row_end - tile_.row_begin, (own + 1) * width);
    for (std::int64_t row = own * width; row < end; ++row) rows_.push_back(static_cast<std::int32_t>(row));
  }
  picks_.resize(rows_.size() + 16);
  if (rows_.empty()) return;
  mark(cells_.sketch.cells + tile_.row_begin * stride, static_cast<std::int64_t>(rows_.size()), rows_.data(), reaches_,
       caps_, column_limits_, near_);
}

NearRows::Picks NearRows::of_panel(std::int64_t column, std::int64_t n_rows) {
  const std::int64_t cell = column / cells_.panel_width;
  if (cell < group_begin_ || cell >= group_end_) mark_group(cell);
  const auto bit = static_cast<int>(cell - group_begin_);
  const std::int64_t count = std::lower_bound(rows_.begin(), rows_.end(), n_rows) - rows_.begin();
  return {picks_.data(), kernels_.rows_near(near_.data(), rows_.data(), count, bit, picks_.data())};
}

}  // namespace pyredund::cpu
