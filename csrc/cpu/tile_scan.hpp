#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "cpu/byte_bounds.hpp"
#include "cpu/cells.hpp"
#include "cpu/kernels.hpp"
#include "cpu/tile.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// The similarity that is reported for two rows: Kernels::score, rounded to float32 and clamped to [-1, 1];
// exactly 1 for rows that are identical byte for byte, zero rows included.
float similarity(const Kernels& kernels, const float* x, const float* y, std::int64_t stride);

// The same from their score.
inline float similarity_by_score(double score, const float* x, const float* y, std::int64_t stride) {
  // Unit rows that are identical score 1 up to roundings of 2^-22, zero rows score 0: only then is a look
  // worth it.
  if ((score > 0.999999 || score == 0.0) && std::memcmp(x, y, static_cast<std::size_t>(stride) * sizeof(float)) == 0) {
    return 1.0f;
  }
  return std::clamp(static_cast<float>(score), -1.0f, 1.0f) + 0.0f;  // a tiny negative score rounds to -0
}

// How far the scan's approximate scores can lie from the similarities of unit rows with this many
// coordinates.
double scan_margin(std::int64_t dim);

// Rows in the form that a scanner takes: float32 or bytes.
struct ScanRows {
  const void* data;
  std::int64_t stride;  // bytes from one row to the next
};

inline ScanRows scan_rows(MatrixView rows) {
  return {rows.data, rows.stride * static_cast<std::int64_t>(sizeof(float))};
}

// One thread's walk over tiles: packs columns panel by panel and hands what survives the scan on in batches.
// `survivors` of a batch hold indices into the two sets of rows.
class TileScan {
 public:
  using Bars = const std::atomic<float>*;
  // Returns how many survivors it kept, at the front: only bars of their rows and columns may have risen by it.
  using Resolve = std::function<std::int64_t(Survivor* survivors, std::int64_t count)>;

  TileScan(const Kernels& kernels, const Scanner& scanner, ScanRows rows, ScanRows columns, std::int64_t dim);

  // Bars are read for every tile, and afresh after every batch, since resolving it may have raised them. Columns need
  // none (null) where only the rows want neighbours. `bytes` is given for a scanner of bytes; `near`, where given,
  // chooses the rows that each panel is scanned with.
  void scan(const Tile& tile, Bars row_bars, Bars column_bars, ByteBounds* bytes, NearRows* near,
            const Resolve& resolve, const Watch& watch);

  // Pairs scanned, tiles, those whose blocks are too far apart, panels, and panels without a row near them.
  std::int64_t n_pairs = 0, n_tiles = 0, n_apart = 0, n_panels = 0, n_empty = 0;

 private:
  const Kernels& kernels_;
  const Scanner& scanner_;
  ScanRows rows_;
  ScanRows columns_;
  std::int64_t dim_;
  std::vector<float> panel_;
  std::vector<float> row_bars_, column_bars_;
  std::vector<std::int32_t> row_limits_, column_limits_, column_offsets_;
  std::vector<Survivor> survivors_;
};

}  // namespace pyredund::cpu
