#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/device.hpp"
#include "cuda/device_rows.hpp"
#include "cuda/memory.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cuda {

constexpr std::int64_t kCopyBytes = 256 << 20;  // between two looks at the watch

inline void upload(const void* host, std::int64_t bytes, void* device, cudaStream_t stream, const Watch& watch) {
  for (std::int64_t at = 0; at < bytes; at += kCopyBytes) {
    check(watch);
    to_device(static_cast<char*>(device) + at, static_cast<const char*>(host) + at, std::min(kCopyBytes, bytes - at),
              stream);
  }
}

// A copy of the host's unit rows on a device.
class UploadedRows {
 public:
  UploadedRows(MatrixView rows, int device, cudaStream_t stream, const Watch& watch)
      : rows_(rows), copy_(rows.rows * rows.stride * static_cast<std::int64_t>(sizeof(float)), device) {
    upload(rows.data, copy_.bytes(), copy_.data(), stream, watch);
  }
  UnitRows unit() const { return {static_cast<const float*>(copy_.data()), rows_.rows, rows_.stride}; }

 private:
  MatrixView rows_;
  Buffer copy_;
};

}  // namespace pyredund::cuda
