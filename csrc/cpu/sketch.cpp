#include "cpu/sketch.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kChunk = 256;   // rows that a thread takes at a time
constexpr std::int64_t kTogether = 4;  // rows that are projected at once

double squared(const float* from, std::int64_t count) {
  double sum[4] = {};
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int lane = 0; lane < 4; ++lane) sum[lane] += static_cast<double>(from[i + lane]) * from[i + lane];
  }
  for (; i < count; ++i) sum[0] += static_cast<double>(from[i]) * from[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The norm of what a unit row has beyond directions on which its coordinates square to `held`, never too small.
float norm_beyond(double held, double norm_slack) {
  const double rest = std::sqrt(std::max(0.0, 1.0 + norm_slack - held));
  return std::nextafter(static_cast<float>(rest), 4.0f);
}

// body(first, last) for chunks of the rows, on all threads.
template <typename Body>
void for_each_chunk(std::int64_t rows, int n_threads, const Watch& watch, const Body& body) {
  std::atomic<std::int64_t> next{0};
  const std::int64_t chunks = (rows + kChunk - 1) / kChunk;
  run_team(static_cast<int>(std::clamp<std::int64_t>(chunks, 1, n_threads)), [&](int) {
    for (std::int64_t chunk = next++; chunk < chunks; chunk = next++) {
      check(watch);
      body(chunk * kChunk, std::min(rows, (chunk + 1) * kChunk));
    }
  });
}

// Rows [first, last), the products of row `first` going to `out`.
void project_rows(const Kernels& kernels, MatrixView rows, std::int64_t first, std::int64_t last, MatrixView directions,
                  float* out, std::int64_t out_stride) {
  for (std::int64_t i = first; i < last; i += kTogether) {
    const float* together[kTogether];
    const std::int64_t count = std::min(kTogether, last - i);
    for (std::int64_t r = 0; r < count; ++r) together[r] = rows.row(i + r);
    kernels.project(together, count, directions.data, directions.rows, rows.stride, out + (i - first) * out_stride,
                    out_stride);
  }
}

// Below this norm in both halves of the coordinates (i % 4 < 2, and the others), sums of products of bytes never reach
// 2^15, whatever the two rows.
constexpr double kMostHalf = 181.0;

// What both halves' norms must stay below before rounding, which adds half a unit a coordinate at most.
double room_of(std::int64_t dim) { return kMostHalf - 0.5 * std::sqrt(0.5 * static_cast<double>(dim)); }

// The larger of the norms of the two halves.
double longer_half(const float* u, std::int64_t dim) {
  double half[2] = {};
  for (std::int64_t i = 0; i < dim; i += 4) {
    for (std::int64_t j = 0; j < 4; ++j) half[j / 2] += static_cast<double>(u[i + j]) * u[i + j];
  }
  return std::sqrt(std::max(half[0], half[1]));
}

// The scale of a block: bytes take about four standard deviations of a coordinate of its longest row, and the halves of
// all rows fit. Where rows are shorter, no finer bytes are needed than float32 bars can tell.
double scale_of(double longest, double longest_half, std::int64_t dim) {
  return std::min(127.0 * std::sqrt(static_cast<double>(dim)) / (4.2 * std::max(longest, 0.02)),
                  room_of(dim) / std::max(longest_half, 0.0142));
}

// What a quarter of the values exceed.
float upper_quartile(std::vector<float> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(3 * values.size() / 4);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// Rounds u to bytes plus 128 that keep to the limits of the byte scanner; returns the error.
double round_row(const float* u, std::int64_t dim, double scale, std::uint8_t* out) {
  const double longest = scale * longer_half(u, dim), room = room_of(dim);
  const double factor = longest > room ? scale * room / longest : scale, unit = 1.0 / scale;
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves no room for a fraction
  double error[2] = {};
  for (std::int64_t i = 0; i < dim; i += 2) {
    double pair[2];
    for (int j = 0; j < 2; ++j) {
      pair[j] = (std::min(127.0, std::max(-127.0, u[i + j] * factor)) + kRound) - kRound;
    }
    const double sum = std::fabs(pair[0]) + std::fabs(pair[1]);
    for (int j = 0; j < 2; ++j) {
      if (sum > 128.0) pair[j] = std::trunc(pair[j] * (128.0 / sum));
      const double rest = u[i + j] - pair[j] * unit;
      error[j] += rest * rest;
      out[i + j] = static_cast<std::uint8_t>(static_cast<std::int32_t>(pair[j]) + 128);
    }
  }
  return std::sqrt(error[0] + error[1]);
}

// The block's rows z, centred and rotated, one thread's.
class BlockRounding {
 public:
  BlockRounding(const Kernels& kernels, MatrixView rows, const SketchRecipe& recipe, const Sketch& sketch)
      : kernels_(kernels),
        rows_(rows),
        recipe_(recipe),
        sketch_(sketch),
        z_(static_cast<std::size_t>(sketch.block * sketch.z_stride)),
        u_(static_cast<std::size_t>(sketch.block * sketch.dim)),
        p_(static_cast<std::size_t>(kTogether * std::max<std::int64_t>(recipe.directions.rows, 1))) {}

  void fill(std::int64_t block) {
    const std::int64_t first = block * sketch_.block, last = std::min(sketch_.n_rows, first + sketch_.block);
    if (sketch_.bounds != nullptr) fill_bounds(first, last);
    centre(block, first, last);
    const std::int64_t dim = sketch_.dim;
    for_four(first, last, [&](std::int64_t place, std::int64_t count) {
      const float* together[kTogether];
      for (std::int64_t r = 0; r < count; ++r) together[r] = z_.data() + (place - first + r) * sketch_.z_stride;
      kernels_.project(together, count, recipe_.rotation.data, recipe_.rotation.rows, sketch_.z_stride,
                       u_.data() + (place - first) * dim, dim);
    });
    float* const norms = sketch_.norms + first;
    float* const errors = sketch_.errors + first;
    double longest = 0.0, longest_half = 0.0;
    for (std::int64_t p = 0; p < last - first; ++p) {
      const float* const u = u_.data() + p * dim;
      const double norm = std::sqrt(squared(u, dim));
      norms[p] = upwards(norm + recipe_.error_slack);
      longest = std::max(longest, norm);
      longest_half = std::max(longest_half, longer_half(u, dim));
    }
    const float scale = static_cast<float>(scale_of(longest, longest_half, dim));
    sketch_.scales[block] = scale;
    for (std::int64_t p = 0; p < last - first; ++p) {
      const double error = round_row(u_.data() + p * dim, dim, scale, sketch_.bytes + (first + p) * dim);
      errors[p] = upwards(error + recipe_.error_slack);
    }
    sketch_.most_errors[block] = upper_quartile({errors, errors + (last - first)});
  }

 private:
  static float upwards(double value) { return std::nextafter(static_cast<float>(value), 1e30f); }

  template <typename Body>
  static void for_four(std::int64_t first, std::int64_t last, const Body& body) {
    for (std::int64_t i = first; i < last; i += kTogether) body(i, std::min(kTogether, last - i));
  }

  void fill_bounds(std::int64_t first, std::int64_t last) {
    const std::int64_t n_directions = recipe_.directions.rows, short_dim = sketch_.z_dim - 1;
    for_four(first, last, [&](std::int64_t place, std::int64_t count) {
      const float* together[kTogether];
      for (std::int64_t r = 0; r < count; ++r) together[r] = rows_.row(place + r);
      kernels_.project(together, count, recipe_.directions.data, n_directions, rows_.stride, p_.data(), n_directions);
      for (std::int64_t r = 0; r < count; ++r) {
        const float* const p = p_.data() + r * n_directions;
        float* const bound = sketch_.bounds + (place + r) * sketch_.bounds_stride;
        double held = squared(p, short_dim);
        std::copy_n(p, short_dim, bound);
        bound[short_dim] = norm_beyond(held, recipe_.norm_slack);
        std::copy(p + short_dim, p + n_directions, bound + sketch_.z_stride);
        std::int64_t from = sketch_.z_stride;
        for (std::size_t l = 1; l < sketch_.lengths.size(); from = sketch_.lengths[l++]) {
          held += squared(bound + from, sketch_.lengths[l] - from);
          bound[sketch_.lengths.back() + static_cast<std::int64_t>(l) - 1] = norm_beyond(held, recipe_.norm_slack);
        }
      }
    });
  }

  // Takes the mean of the block's rows z off them.
  void centre(std::int64_t block, std::int64_t first, std::int64_t last) {
    const std::int64_t z_dim = sketch_.z_dim, stride = sketch_.z_stride;
    std::vector<double> sum(static_cast<std::size_t>(z_dim), 0.0);
    for (std::int64_t p = first; p < last; ++p) {
      const float* const z = sketch_.z(rows_, p);
      for (std::int64_t c = 0; c < z_dim; ++c) sum[c] += z[c];
    }
    float* const mean = sketch_.centres + block * stride;
    std::fill(mean, mean + stride, 0.0f);
    for (std::int64_t c = 0; c < z_dim; ++c) mean[c] = static_cast<float>(sum[c] / static_cast<double>(last - first));
    for (std::int64_t p = first; p < last; ++p) {
      const float* const z = sketch_.z(rows_, p);
      float* const own = z_.data() + (p - first) * stride;
      for (std::int64_t c = 0; c < stride; ++c) own[c] = c < z_dim ? z[c] - mean[c] : 0.0f;
    }
  }

  const Kernels& kernels_;
  MatrixView rows_;
  const SketchRecipe& recipe_;
  const Sketch& sketch_;
  std::vector<float> z_, u_, p_;
};

}  // namespace

void products(const Kernels& kernels, MatrixView rows, MatrixView directions, float* out, int n_threads, Watch& watch) {
  for_each_chunk(rows.rows, n_threads, watch, [&](std::int64_t first, std::int64_t last) {
    project_rows(kernels, rows, first, last, directions, out + first * directions.rows, directions.rows);
  });
}

void short_rows(const Kernels& kernels, MatrixView rows, MatrixView directions, double norm_slack, std::int64_t stride,
                float* out, int n_threads, Watch& watch) {
  for_each_chunk(rows.rows, n_threads, watch, [&](std::int64_t first, std::int64_t last) {
    project_rows(kernels, rows, first, last, directions, out + first * stride, stride);
    for (float* z = out + first * stride; z < out + last * stride; z += stride) {
      z[directions.rows] = norm_beyond(squared(z, directions.rows), norm_slack);
      std::fill(z + directions.rows + 1, z + stride, 0.0f);
    }
  });
}

void fill_sketch(const Kernels& kernels, MatrixView rows, const SketchRecipe& recipe, const Sketch& sketch,
                 int n_threads, Watch& watch) {
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_blocks, 1, n_threads)), [&](int) {
    BlockRounding rounding(kernels, rows, recipe, sketch);
    for (std::int64_t block = next++; block < n_blocks; block = next++) {
      check(watch);
      rounding.fill(block);
    }
  });
}

}  // namespace pyredund::cpu
