#pragma once

#include <cstdint>

namespace pyredund {

// Rows of float32, owned by somebody else. `stride` counts floats and is a multiple of 8; the coordinates
// from `dim` to `stride` are zero, so that a kernel may read whole groups of eight.
struct MatrixView {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  std::int64_t stride = 0;

  const float* row(std::int64_t i) const { return data + i * stride; }
  MatrixView part(std::int64_t first, std::int64_t count) const { return {row(first), count, dim, stride}; }
};

}  // namespace pyredund
