#include "cpu/tile_scan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kBatch = 4096;          // survivors that wait at most
constexpr std::int64_t kWorthResolving = 256;  // after a panel, fewer than these wait for the next one

}  // namespace

float similarity(const Kernels& kernels, const float* x, const float* y, std::int64_t stride) {
  return similarity_by_score(kernels.score(x, y, stride), x, y, stride);
}

// How far a float32 score can lie from the similarity. Both rows have norm at most 1 + 2^-22, so by
// Cauchy-Schwarz the magnitudes of the products sum to at most (1 + 2^-22)^2, and a float32 sum of `dim`
// rounded products, in any order, is off by at most dim * 2^-24 / (1 - dim * 2^-24) times that (Higham 2002,
// section 3.1). Rounding the similarity to float32, clamping it, and setting it to 1 for identical rows moves
// it by less than 2^-21 more; products that underflow add less than dim * 2^-149, which the 1 % on top covers
// many times over.
double scan_margin(std::int64_t dim) {
  const double sum_of_roundings = static_cast<double>(dim) * std::ldexp(1.0, -24);
  if (sum_of_roundings > 0.5) return std::numeric_limits<double>::infinity();
  return 1.01 * (sum_of_roundings / (1.0 - sum_of_roundings) + std::ldexp(1.0, -21));
}

TileScan::TileScan(const Kernels& kernels, const Scanner& scanner, ScanRows rows, ScanRows columns, std::int64_t dim)
    : kernels_(kernels),
      scanner_(scanner),
      rows_(rows),
      columns_(columns),
      dim_(dim),
      panel_(static_cast<std::size_t>(kernels.panel_width * (dim + 1))),  // of floats; bytes take less
      column_bars_(static_cast<std::size_t>(kernels.panel_width)),
      column_limits_(column_bars_.size()),
      column_offsets_(column_bars_.size()),
      survivors_(static_cast<std::size_t>(kBatch + kernels.panel_width * kernels.strip_height)) {}

void TileScan::scan(const Tile& tile, Bars row_bars, Bars column_bars, ByteBounds* bytes, NearRows* near,
                    const Resolve& resolve, const Watch& watch) {
  ++n_tiles;
  if (near != nullptr && !near->enter(tile)) {
    ++n_apart;
    return;
  }
  if (bytes != nullptr) bytes->enter(tile);
  const std::int64_t n_rows = tile.row_end - tile.row_begin;
  row_bars_.resize(static_cast<std::size_t>(bytes == nullptr ? n_rows : 0));
  row_limits_.resize(static_cast<std::size_t>(bytes != nullptr ? n_rows : 0));
  const auto read_row_bar = [&](std::int64_t row) {
    const float bar = row_bars[row].load(std::memory_order_relaxed);
    if (bytes == nullptr) {
      row_bars_[row - tile.row_begin] = bar;
    } else {
      row_limits_[row - tile.row_begin] = bytes->limit(bar);
    }
  };
  const auto read_column_bars = [&](std::int64_t column, std::int64_t n_columns) {
    for (std::int64_t c = 0; c < kernels_.panel_width; ++c) {
      float bar = std::numeric_limits<float>::infinity();
      if (column_bars != nullptr && c < n_columns) bar = column_bars[column + c].load(std::memory_order_relaxed);
      if (bytes == nullptr) {
        column_bars_[c] = bar;
      } else {
        column_limits_[c] = bytes->limit(bar);
      }
    }
  };
  std::int64_t waiting = 0;
  const auto resolve_waiting = [&] {
    const std::int64_t kept = resolve(survivors_.data(), waiting);
    waiting = 0;
    for (std::int64_t s = 0; s < kept; ++s) {
      read_row_bar(survivors_[s].row);
      if (tile.triangle) read_row_bar(survivors_[s].column);
    }
  };
  for (std::int64_t row = tile.row_begin; row < tile.row_end; ++row) read_row_bar(row);
  for (std::int64_t column = tile.column_begin; column < tile.column_end; column += kernels_.panel_width) {
    check(watch);
    const std::int64_t n_columns = std::min<std::int64_t>(kernels_.panel_width, tile.column_end - column);
    const auto at = [](ScanRows rows, std::int64_t row) {
      return static_cast<const void*>(static_cast<const char*>(rows.data) + row * rows.stride);
    };
    PanelScan panel{};
    panel.rows = at(rows_, tile.row_begin);
    panel.stride = rows_.stride;
    panel.n_rows = (tile.triangle ? std::min(tile.row_end, column + n_columns) : tile.row_end) - tile.row_begin;
    ++n_panels;
    if (near != nullptr) {
      const NearRows::Picks picks = near->of_panel(column, panel.n_rows);
      panel.picks = picks.rows;
      panel.n_rows = picks.count;
      if (panel.n_rows == 0) {
        ++n_empty;
        continue;
      }
    }
    n_pairs += panel.n_rows * n_columns;
    scanner_.pack_panel(at(columns_, column), columns_.stride, n_columns, dim_, panel_.data());
    read_column_bars(column, n_columns);
    if (bytes != nullptr) {
      std::copy_n(bytes->column_offsets() + (column - tile.column_begin), n_columns, column_offsets_.begin());
      panel.row_offsets = bytes->row_offsets();
      panel.column_offsets = column_offsets_.data();
    }
    panel.panel = panel_.data();
    panel.dim = dim_;
    panel.n_columns = n_columns;
    panel.row_bars = row_bars_.data();
    panel.column_bars = column_bars_.data();
    panel.row_limits = row_limits_.data();
    panel.column_limits = column_limits_.data();
    panel.survivors = survivors_.data();
    panel.capacity = static_cast<std::int64_t>(survivors_.size());
    for (std::int64_t row = 0; row < panel.n_rows;) {
      std::int64_t found = waiting;
      row += scanner_.scan_panel(panel, row, &found);
      for (std::int64_t s = waiting; s < found; ++s) {
        Survivor survivor = survivors_[s];
        survivor.row += static_cast<std::int32_t>(tile.row_begin);
        survivor.column += static_cast<std::int32_t>(column);
        if (!tile.triangle || survivor.row < survivor.column) survivors_[waiting++] = survivor;
      }
      if (row < panel.n_rows || waiting >= kWorthResolving) {
        resolve_waiting();
        read_column_bars(column, n_columns);
      }
    }
  }
  resolve_waiting();
}

}  // namespace pyredund::cpu
