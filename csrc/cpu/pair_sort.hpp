#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace pyredund::cpu {

// An (id, score) pair as one integer that orders pairs by score descending, then id ascending: larger is better.
inline std::uint64_t pack_pair(std::int32_t id, float score) {
  std::uint32_t bits;
  score += 0.0f;  // -0 and +0 are the same score
  std::memcpy(&bits, &score, sizeof bits);
  bits = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;  // the order of floats as the order of integers
  return (static_cast<std::uint64_t>(bits) << 32) | ~static_cast<std::uint32_t>(id);
}

inline std::int32_t pair_id(std::uint64_t pair) { return static_cast<std::int32_t>(~static_cast<std::uint32_t>(pair)); }

inline float pair_score(std::uint64_t pair) {
  std::uint32_t bits = static_cast<std::uint32_t>(pair >> 32);
  bits = (bits >> 31) != 0 ? bits & 0x7FFFFFFFu : ~bits;
  float score;
  std::memcpy(&score, &bits, sizeof score);
  return score;
}

// Sorts numbers, largest first, without branches that depend on them: they are in no order that a processor could
// guess, and guessing wrongly is most of what std::sort costs here. Runs of eight by a network of comparisons (Knuth
// 1998, section 5.3.4), then merges from both ends at once, which need no test for the end of a run.
class PairSort {
 public:
  // Where to put `count` numbers before they are sorted.
  std::uint64_t* room_for(std::int64_t count) {
    count_ = count;
    padded_ = kRun;
    while (padded_ < count) padded_ *= 2;
    if (static_cast<std::int64_t>(from_.size()) < padded_) from_.resize(static_cast<std::size_t>(padded_));
    to_.resize(from_.size());
    return from_.data();
  }

  // They, sorted, until the next call.
  const std::uint64_t* sorted() {
    std::fill(from_.begin() + count_, from_.begin() + padded_, std::uint64_t{0});
    for (std::int64_t i = 0; i < padded_; i += kRun) sort_run(from_.data() + i);
    for (std::int64_t half = kRun; half < padded_; half *= 2) {
      for (std::int64_t i = 0; i < padded_; i += 2 * half) merge(from_.data() + i, half, to_.data() + i);
      from_.swap(to_);
    }
    return from_.data();
  }

 private:
  static constexpr std::int64_t kRun = 8;

  static void sort_run(std::uint64_t* run) {
    std::uint64_t a = run[0], b = run[1], c = run[2], d = run[3], e = run[4], f = run[5], g = run[6], h = run[7];
    const auto order = [](std::uint64_t& x, std::uint64_t& y) {
      const std::uint64_t larger = x > y ? x : y;
      y = x > y ? y : x;
      x = larger;
    };
    order(a, b), order(c, d), order(e, f), order(g, h);
    order(a, c), order(b, d), order(e, g), order(f, h);
    order(b, c), order(f, g), order(a, e), order(d, h);
    order(b, f), order(c, g);
    order(c, e), order(d, f);
    order(b, c), order(d, e), order(f, g);
    run[0] = a, run[1] = b, run[2] = c, run[3] = d, run[4] = e, run[5] = f, run[6] = g, run[7] = h;
  }

  // The runs [0, half) and [half, 2 half) of `from`.
  static void merge(const std::uint64_t* from, std::int64_t half, std::uint64_t* to) {
    const std::uint64_t *left = from, *right = from + half, *left_end = right - 1, *right_end = left_end + half;
    for (std::int64_t i = 0; i < half; ++i) {
      const std::uint64_t a = *left, b = *right, y = *left_end, z = *right_end;
      to[i] = a > b ? a : b;
      to[2 * half - 1 - i] = y < z ? y : z;
      const std::int64_t from_left = a > b, off_left = y < z;
      left += from_left;
      right += 1 - from_left;
      left_end -= off_left;
      right_end -= 1 - off_left;
    }
  }

  std::int64_t count_ = 0, padded_ = 0;
  std::vector<std::uint64_t> from_, to_;
};

}  // namespace pyredund::cpu
