#include "cpu/cell_caps.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr int kSteps = 32;               // more would make caps smaller by less than they cost
constexpr std::int64_t kTogether = 256;  // cells that a thread takes at a time

// One thread's work on a cell. All rows have nearly the same norm, so that the one farthest from a centre is about that
// with the smallest product; and as the centre is a mean of rows with weights, their products with it follow from those
// with each other.
class CapOfCell {
 public:
  CapOfCell(const Kernels& kernels, std::int64_t stride)
      : kernels_(kernels),
        stride_(stride),
        width_(kernels.panel_width),
        panel_(static_cast<std::size_t>(width_ * (stride + 1))),
        gram_(static_cast<std::size_t>(width_ * width_)),
        along_(static_cast<std::size_t>(width_)),
        weights_(along_.size()) {}

  // Returns the cosine.
  float find(const float* rows, std::int64_t count, float* centre) {
    kernels_.floats.pack_panel(rows, stride_ * static_cast<std::int64_t>(sizeof(float)), count, stride_, panel_.data());
    kernels_.multiply_panel({rows, stride_, count, nullptr, panel_.data(), stride_, width_, gram_.data(), width_});
    weigh(count);
    kernels_.weighted_sum(rows, stride_, weights_.data(), count, centre);
    double norm = 0.0;
    for (std::int64_t c = 0; c < stride_; ++c) norm += static_cast<double>(centre[c]) * centre[c];
    norm = std::sqrt(norm);
    if (!(norm > 0.0)) return -1.0f;  // of rows that are each other's opposites
    for (std::int64_t c = 0; c < stride_; ++c) centre[c] = static_cast<float>(centre[c] / norm);
    double cosine = 1.0;
    for (std::int64_t i = 0; i < count; ++i) {
      double product = 0.0, square = 0.0;
      for (std::int64_t c = 0; c < stride_; ++c) {
        const double coordinate = rows[i * stride_ + c];
        product += coordinate * centre[c];
        square += coordinate * coordinate;
      }
      cosine = std::min(cosine, product / std::sqrt(square));  // a short row's norm is 1 or more
    }
    return static_cast<float>(cosine);
  }

 private:
  void weigh(std::int64_t count) {
    std::fill(weights_.begin(), weights_.end(), 0.0f);
    std::fill_n(weights_.begin(), count, 1.0f / static_cast<float>(count));
    kernels_.weighted_sum(gram_.data(), width_, weights_.data(), count, along_.data());
    for (int step = 1; step <= kSteps; ++step) {
      const auto farthest = std::min_element(along_.begin(), along_.begin() + count) - along_.begin();
      const float share = 1.0f / static_cast<float>(step + 2), kept = 1.0f - share;
      const float* const products = gram_.data() + farthest * width_;
      for (std::int64_t i = 0; i < width_; ++i) along_[i] = kept * along_[i] + share * products[i];
      for (std::int64_t i = 0; i < width_; ++i) weights_[i] *= kept;
      weights_[farthest] += share;
    }
  }

  const Kernels& kernels_;
  std::int64_t stride_, width_;
  std::vector<float> panel_, gram_, along_, weights_;
};

}  // namespace

void cell_caps(const Kernels& kernels, MatrixView short_rows, float* centres, float* cosines, int n_threads,
               const Watch& watch) {
  const std::int64_t width = kernels.panel_width, n_cells = (short_rows.rows + width - 1) / width;
  const std::int64_t n_parts = (n_cells + kTogether - 1) / kTogether;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_parts, 1, n_threads)), [&](int) {
    CapOfCell cap(kernels, short_rows.stride);
    for (std::int64_t part = next++; part < n_parts; part = next++) {
      check(watch);
      for (std::int64_t cell = part * kTogether; cell < std::min(n_cells, (part + 1) * kTogether); ++cell) {
        const std::int64_t begin = cell * width;
        cosines[cell] = cap.find(short_rows.row(begin), std::min(width, short_rows.rows - begin),
                                 centres + cell * short_rows.stride);
      }
    }
  });
}

}  // namespace pyredund::cpu
