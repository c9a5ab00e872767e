#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/device_rows.hpp"
#include "cuda/memory.hpp"

namespace pyredund::cuda {

// The distinct unit rows of embeddings that lie on a device already. Work goes to the caller's stream, and memory comes
// from the caller's allocator, if there is one.
class DeviceUnits {
 public:
  DeviceUnits(const DeviceInput& input, int device, cudaStream_t stream, std::shared_ptr<Memory> memory);

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_; }
  const std::shared_ptr<Memory>& memory() const { return memory_; }
  // Rows with NaN or infinity; if there are any, nothing else is known.
  std::int64_t n_bad() const { return n_bad_; }
  UnitRows rows() const { return {static_cast<const float*>(unit_->data()), n_distinct_, stride_}; }
  // The place of each row among the distinct ones, in the order in which these first occur; empty if all are distinct.
  const std::vector<std::int32_t>& class_of() const { return class_of_; }

 private:
  void collapse(std::int64_t rows);

  int device_;
  cudaStream_t stream_;
  std::shared_ptr<Memory> memory_;
  std::int64_t stride_, n_bad_ = 0, n_distinct_;
  std::unique_ptr<Buffer> unit_;
  std::vector<std::int32_t> class_of_;
};

}  // namespace pyredund::cuda
