#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

namespace pyredund::cpu {

// Moves the `count` smallest of different numbers to the front, in any order. Pivots from a small sample, on either
// side of the place where the two parts are to meet, leave little between them (Floyd and Rivest 1975); numbers change
// sides without a branch, which a processor would guess wrongly every other time.
inline void smallest_first(std::uint64_t* numbers, std::int64_t size, std::int64_t count) {
  constexpr std::int64_t kSample = 64, kBeside = 6, kFew = 2 * kSample;
  constexpr int kMostRounds = 16;  // of which a few do, unless the sample misleads
  std::uint64_t* begin = numbers;
  std::uint64_t* end = numbers + size;
  std::uint64_t* const meet = numbers + count;
  std::uint64_t sample[kSample];
  bool above = true;
  for (int round = 0; round < kMostRounds && end - begin > kFew; ++round, above = !above) {
    const std::int64_t left = end - begin;
    for (std::int64_t i = 0; i < kSample; ++i) sample[i] = begin[i * left / kSample];
    const std::int64_t rank = (meet - begin) * kSample / left;
    const std::int64_t at = std::clamp<std::int64_t>(above ? rank + kBeside : rank - kBeside, 0, kSample - 1);
    std::nth_element(sample, sample + at, sample + kSample);
    const std::uint64_t pivot = sample[at];
    std::uint64_t* middle = begin;
    for (std::uint64_t* next = begin; next < end; ++next) {
      const std::uint64_t number = *next;
      *next = *middle;
      *middle = number;
      middle += number < pivot ? 1 : 0;
    }
    if (middle == begin && at > 0) break;  // they are not different
    (middle > meet ? end : begin) = middle;
  }
  if (meet > begin && meet < end) std::nth_element(begin, meet, end);
}

}  // namespace pyredund::cpu
