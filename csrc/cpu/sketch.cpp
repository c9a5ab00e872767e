#include "cpu/sketch.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kChunk = 128;                           // rows that a thread takes at a time
constexpr std::int64_t kWorthThreads = std::int64_t{1} << 22;  // products of coordinates, some 0.1 ms
constexpr std::int64_t kLongest = 16, kSome = 64;  // rows of a block that are tried in the choice of its scale
constexpr int kFinerSteps = 8;
constexpr float kFiner = 1.15f;
constexpr float kRoundWord = 12582912.0f;  // 1.5 * 2^23: adding it to a word leaves no room for a fraction

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

// Directions in the form in which rows are multiplied with many at a time.
class Panels {
 public:
  Panels(const Kernels& kernels, MatrixView directions, int n_threads = 1)
      : kernels_(kernels),
        directions_(directions),
        width_(kernels.panel_width),
        size_(width_ * (directions.stride + 1)),
        count_((directions.rows + width_ - 1) / width_),
        packed_(new float[static_cast<std::size_t>(count_ * size_)]) {
    std::atomic<std::int64_t> next{0};
    run_team(static_cast<int>(std::clamp<std::int64_t>(count_, 1, n_threads)), [&](int) {
      for (std::int64_t p = next++; p < count_; p = next++) {
        kernels_.floats.pack_panel(directions_.row(p * width_),
                                   directions_.stride * static_cast<std::int64_t>(sizeof(float)), columns_of(p),
                                   directions_.stride, packed_.get() + p * size_);
      }
    });
  }

  // out[r * out_stride + c] is the product of row r of `count` rows, as long as the directions, with direction c.
  void multiply(const float* rows, std::int64_t stride, std::int64_t count, float* out, std::int64_t out_stride) const {
    for (std::int64_t p = 0; p < count_; ++p) {
      kernels_.multiply_panel({rows, stride, count, nullptr, packed_.get() + p * size_, directions_.stride,
                               columns_of(p), out + p * width_, out_stride});
    }
  }

 private:
  std::int64_t columns_of(std::int64_t panel) const { return std::min(width_, directions_.rows - panel * width_); }

  const Kernels& kernels_;
  MatrixView directions_;
  std::int64_t width_, size_, count_;
  std::unique_ptr<float[]> packed_;
};

// Where sums are narrow: below this norm in both halves of the coordinates (i % 4 < 2, and the others), sums of
// products of bytes never reach 2^15, whatever the two rows.
constexpr double kMostHalf = 181.0;

// What both halves' norms must stay below before rounding, which adds half a unit a coordinate at most.
double room_of(std::int64_t dim, bool narrow_sums) {
  if (!narrow_sums) return std::numeric_limits<double>::infinity();
  return kMostHalf - 0.5 * std::sqrt(0.5 * static_cast<double>(dim));
}

// Finer bytes than float32 bars can tell are not needed, and the squares of their scales, in which bars and offsets are
// whole numbers, would leave 32 bits (byte_bounds.hpp).
constexpr float kFinest = 8192.0f;

// The scale of a block: bytes take about four standard deviations of a coordinate of its longest row, and the halves of
// all rows fit.
float scale_of(double longest, double longest_half, std::int64_t dim, bool narrow_sums) {
  const double scale =
      std::min(127.0 * std::sqrt(static_cast<double>(dim)) / (4.2 * longest), room_of(dim, narrow_sums) / longest_half);
  return scale < kFinest ? static_cast<float>(scale) : kFinest;  // also where rows are their centre
}

// What a quarter of the values exceed.
float upper_quartile(std::vector<float> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(3 * values.size() / 4);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// The block's rows z, centred and rotated, one thread's.
class BlockRounding {
 public:
  BlockRounding(const Kernels& kernels, MatrixView rows, const SketchRecipe& recipe, const Panels& directions,
                const Panels& rotation, bool narrow_sums, const Sketch& sketch)
      : kernels_(kernels),
        narrow_sums_(narrow_sums),
        rows_(rows),
        directions_(directions),
        rotation_(rotation),
        recipe_(recipe),
        sketch_(sketch),
        z_(static_cast<std::size_t>(sketch.block * sketch.z_stride)),
        u_(static_cast<std::size_t>(sketch.block * sketch.dim)),
        longer_half_(static_cast<std::size_t>(sketch.block)),
        p_(static_cast<std::size_t>(sketch.bounds != nullptr ? kChunk * recipe.directions.rows : 0)) {}

  void fill(std::int64_t block) {
    const std::int64_t first = block * sketch_.block, last = std::min(sketch_.n_rows, first + sketch_.block);
    if (sketch_.bounds != nullptr) fill_bounds(first, last);
    if (sketch_.words != nullptr) fill_words(first, last);
    centre(block, first, last);
    const std::int64_t dim = sketch_.dim;
    rotation_.multiply(z_.data(), sketch_.z_stride, last - first, u_.data(), dim);
    float* const norms = sketch_.norms + first;
    float* const errors = sketch_.errors + first;
    double longest = 0.0, longest_half = 0.0;
    for (std::int64_t p = 0; p < last - first; ++p) {
      double halves[2];
      kernels_.half_squares(u_.data() + p * dim, dim, halves);
      const double norm = std::sqrt(halves[0] + halves[1]);
      longer_half_[p] = std::sqrt(std::max(halves[0], halves[1]));
      norms[p] = upwards(norm + recipe_.error_slack);
      longest = std::max(longest, norm);
      longest_half = std::max(longest_half, longer_half_[p]);
    }
    const float scale = finer(scale_of(longest, longest_half, dim, narrow_sums_), first, last);
    sketch_.scales[block] = scale;
    for (std::int64_t p = 0; p < last - first; ++p) errors[p] = round(p, scale, sketch_.bytes + (first + p) * dim);
    sketch_.most_errors[block] = upper_quartile({errors, errors + (last - first)});
  }

 private:
  static float upwards(double value) { return std::nextafter(static_cast<float>(value), 1e30f); }

  // Rounds the block's row p to bytes and returns at least its error.
  float round(std::int64_t p, float scale, std::uint8_t* bytes) const {
    // Bytes keep to the limits of the byte scanner.
    const double half = scale * longer_half_[p], room = room_of(sketch_.dim, narrow_sums_);
    const double squares =
        kernels_.round_bytes(u_.data() + p * sketch_.dim, sketch_.dim, half > room ? scale * room / half : scale,
                             1.0 / scale, narrow_sums_, bytes);
    return upwards(std::sqrt(squares) + recipe_.error_slack);
  }

  // A scale at which bytes are finer, though some coordinates of long rows do not fit: larger by steps, until errors,
  // as they enter the bounds of pairs, grow again. The longest rows, whose errors grow first, are all tried, of the
  // others some.
  float finer(float scale, std::int64_t first, std::int64_t last) {
    const float* const norms = sketch_.norms + first;
    tried_.resize(static_cast<std::size_t>(last - first));
    std::iota(tried_.begin(), tried_.end(), 0);
    const std::int64_t n_longest = std::min(kLongest, last - first), n_others = last - first - n_longest;
    std::partial_sort(tried_.begin(), tried_.begin() + n_longest, tried_.end(),
                      [&](std::int32_t a, std::int32_t b) { return norms[a] > norms[b]; });
    const std::int64_t n_some = std::min(kSome, n_others);
    for (std::int64_t i = 0; i < n_some; ++i) tried_[n_longest + i] = tried_[n_longest + i * n_others / n_some];
    tried_.resize(static_cast<std::size_t>(n_longest + n_some));
    const double weight = n_some > 0 ? static_cast<double>(n_others) / static_cast<double>(n_some) : 0.0;
    double least = errors_at(scale, first, n_longest, weight);
    for (int step = 0; step < kFinerSteps && scale * kFiner <= kFinest; ++step) {
      const double errors = errors_at(scale * kFiner, first, n_longest, weight);
      if (errors >= least) break;
      scale *= kFiner;
      least = errors;
    }
    return scale;
  }

  // What errors add to the bounds of the block's rows, with the tried ones behind the longest counted `weight` times.
  double errors_at(float scale, std::int64_t first, std::int64_t n_longest, double weight) {
    errors_.clear();
    for (const std::int32_t p : tried_) errors_.push_back(round(p, scale, sketch_.bytes + (first + p) * sketch_.dim));
    // The quartile of all rows is about that of those that stand for most of them.
    const bool has_others = static_cast<std::int64_t>(errors_.size()) > n_longest;
    const float most = upper_quartile({errors_.begin() + (has_others ? n_longest : 0), errors_.end()});
    const float longest = sketch_.norms[first + tried_[0]];
    double sum = 0.0;
    for (std::size_t i = 0; i < errors_.size(); ++i) {
      const double added = sketch_.norms[first + tried_[i]] * most + std::max(0.0f, errors_[i] - most) * longest;
      sum += (static_cast<std::int64_t>(i) < n_longest ? 1.0 : weight) * added;
    }
    return sum;
  }

  void fill_bounds(std::int64_t first, std::int64_t last) {
    const std::int64_t n_directions = recipe_.directions.rows, short_dim = sketch_.z_dim - 1;
    for (std::int64_t place = first; place < last; place += kChunk) {
      const std::int64_t count = std::min(kChunk, last - place);
      directions_.multiply(rows_.row(place), rows_.stride, count, p_.data(), n_directions);
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
    }
  }

  void fill_words(std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      const float* const x = rows_.row(p);
      std::int16_t* const words = sketch_.words + p * sketch_.words_stride;
      double squares[8] = {};
      for (std::int64_t c = 0; c < rows_.stride; c += 8) {  // beyond its coordinates, a row holds zeros
        for (int lane = 0; lane < 8; ++lane) {
          const float word =
              (std::min(32767.0f, std::max(-32767.0f, x[c + lane] * static_cast<float>(kWordScale))) + kRoundWord) -
              kRoundWord;
          const double rest = static_cast<double>(x[c + lane]) - static_cast<double>(word) * (1.0 / kWordScale);
          words[c + lane] = static_cast<std::int16_t>(word);
          squares[lane] += rest * rest;
        }
      }
      double sum = 0.0;
      for (const double square : squares) sum += square;
      sketch_.word_errors[p] = upwards(1.000001 * std::sqrt(sum));
    }
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
  bool narrow_sums_;
  MatrixView rows_;
  const Panels& directions_;
  const Panels& rotation_;
  const SketchRecipe& recipe_;
  const Sketch& sketch_;
  std::vector<float> z_, u_, errors_;
  std::vector<std::int32_t> tried_;
  std::vector<double> longer_half_;  // of each row the larger of the norms of its halves
  std::vector<float> p_;
};

}  // namespace

void products(const Kernels& kernels, MatrixView rows, MatrixView directions, float* out, int n_threads, Watch& watch) {
  if (rows.rows * directions.rows * directions.stride < kWorthThreads) n_threads = 1;
  const Panels panels(kernels, directions, n_threads);
  for_each_chunk(rows.rows, n_threads, watch, [&](std::int64_t first, std::int64_t last) {
    panels.multiply(rows.row(first), rows.stride, last - first, out + first * directions.rows, directions.rows);
  });
}

void products_by_direction(const Kernels& kernels, MatrixView rows, MatrixView directions, float* out, int n_threads,
                           const Watch& watch) {
  const std::int64_t width = kernels.panel_width, stride = directions.stride;
  for_each_chunk(rows.rows, n_threads, watch, [&](std::int64_t first, std::int64_t last) {
    thread_local std::vector<float> panel;  // of rows, here
    panel.resize(static_cast<std::size_t>(width * (stride + 1)));
    for (std::int64_t i = first; i < last; i += width) {
      const std::int64_t count = std::min(width, last - i);
      kernels.floats.pack_panel(rows.row(i), rows.stride * static_cast<std::int64_t>(sizeof(float)), count, stride,
                                panel.data());
      kernels.multiply_panel(
          {directions.row(0), stride, directions.rows, nullptr, panel.data(), stride, count, out + i, rows.rows});
    }
  });
}

void short_rows(const Kernels& kernels, MatrixView rows, MatrixView directions, double norm_slack, std::int64_t stride,
                float* out, int n_threads, Watch& watch) {
  const Panels panels(kernels, directions, n_threads);
  for_each_chunk(rows.rows, n_threads, watch, [&](std::int64_t first, std::int64_t last) {
    panels.multiply(rows.row(first), rows.stride, last - first, out + first * stride, stride);
    for (float* z = out + first * stride; z < out + last * stride; z += stride) {
      z[directions.rows] = norm_beyond(squared(z, directions.rows), norm_slack);
      std::fill(z + directions.rows + 1, z + stride, 0.0f);
    }
  });
}

void fill_sketch(const Kernels& kernels, MatrixView rows, const SketchRecipe& recipe, const Sketch& sketch,
                 int n_threads, Watch& watch) {
  const Panels directions(kernels, recipe.directions, n_threads), rotation(kernels, recipe.rotation, n_threads);
  const std::int64_t n_blocks = (sketch.n_rows + sketch.block - 1) / sketch.block;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_blocks, 1, n_threads)), [&](int) {
    BlockRounding rounding(kernels, rows, recipe, directions, rotation, kernels.bytes.narrow_sums, sketch);
    for (std::int64_t block = next++; block < n_blocks; block = next++) {
      check(watch);
      rounding.fill(block);
    }
  });
}

}  // namespace pyredund::cpu
