#include "cuda/device_units.hpp"

#include <utility>

#include "cuda/memory.hpp"

namespace pyredund::cuda {

DeviceUnits::DeviceUnits(const DeviceInput& input, int device, cudaStream_t stream, std::shared_ptr<Memory> memory)
    : device_(device),
      stream_(stream),
      memory_(std::move(memory)),
      stride_(rounded_up(input.dim, 8)),
      n_distinct_(input.rows) {
  const UseDevice use(device);
  const UseMemory use_memory(memory_);
  unit_ = std::make_unique<Buffer>(input.rows * stride_ * 4, device);
  if (input.rows == 0) return;
  const Buffer norms(input.rows * 8, device), bad(4, device);
  PYREDUND_CUDA_CALL(cudaMemsetAsync(bad.data(), 0, 4, stream));
  unit_rows(input, stride_, static_cast<float*>(unit_->data()), static_cast<double*>(norms.data()),
            static_cast<std::uint32_t*>(bad.data()), stream);
  std::uint32_t n_bad = 0;
  to_host(&n_bad, bad.data(), 4, stream);
  n_bad_ = n_bad;
  if (n_bad_ == 0) collapse(input.rows);
}

void DeviceUnits::collapse(std::int64_t rows) {
  std::int64_t slots = 16;
  while (slots < 2 * rows) slots *= 2;
  const Buffer first(rows * 4, device_), distinct(4, device_);
  {
    const Buffer table(slots * 4, device_);
    PYREDUND_CUDA_CALL(cudaMemsetAsync(distinct.data(), 0, 4, stream_));
    first_of_identical(static_cast<const float*>(unit_->data()), rows, stride_,
                       static_cast<std::int32_t*>(table.data()), slots, static_cast<std::int32_t*>(first.data()),
                       static_cast<std::uint32_t*>(distinct.data()), stream_);
    std::uint32_t n_distinct = 0;
    to_host(&n_distinct, distinct.data(), 4, stream_);
    n_distinct_ = n_distinct;
  }
  if (n_distinct_ == rows) return;
  class_of_.resize(static_cast<std::size_t>(rows));
  to_host(class_of_.data(), first.data(), rows * 4, stream_);
  std::vector<std::int32_t> firsts;
  for (std::int64_t i = 0; i < rows; ++i) {
    if (class_of_[i] == i) {
      class_of_[i] = static_cast<std::int32_t>(firsts.size());
      firsts.push_back(static_cast<std::int32_t>(i));
    } else {
      class_of_[i] = class_of_[class_of_[i]];  // that of an earlier row, which is a class by now
    }
  }
  const Buffer ids(n_distinct_ * 4, device_);
  to_device(ids.data(), firsts.data(), ids.bytes(), stream_);
  auto kept = std::make_unique<Buffer>(n_distinct_ * stride_ * 4, device_);
  gather_rows(unit_->data(), static_cast<const std::int32_t*>(ids.data()), n_distinct_, n_distinct_, stride_ * 4,
              kept->data(), stream_);
  PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream_));
  unit_ = std::move(kept);
}

}  // namespace pyredund::cuda
