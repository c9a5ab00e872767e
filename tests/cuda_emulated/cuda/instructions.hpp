#pragma once

// The instructions of csrc/cuda/instructions.hpp in C++. Copies happen when they are waited for, never earlier, so that
// a kernel that does not wait reads what was there before.
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

namespace pyredund::cuda {

inline unsigned char* shared_memory() { return emulated::block().shared; }

struct Copies {
  std::vector<std::pair<void*, const void*>> open;
  std::deque<std::vector<std::pair<void*, const void*>>> closed;
};

inline Copies& copies() {
  thread_local std::map<unsigned, Copies>* const all = new std::map<unsigned, Copies>;
  return (*all)[threadIdx.x];
}

inline void copy_async(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0) std::abort();
  copies().open.emplace_back(to, from);
}

inline void close_copies() {
  Copies& mine = copies();
  mine.closed.push_back(std::move(mine.open));
  mine.open.clear();
}

template <int kOpen>
inline void wait_for_copies() {
  Copies& mine = copies();
  for (; mine.closed.size() > kOpen; mine.closed.pop_front()) {
    for (const auto& [to, from] : mine.closed.front()) std::memcpy(to, from, 16);
  }
}

inline void load_matrices(std::uint32_t (&part)[4], const void* row) {
  const auto rows = emulated::exchange(row);
  const unsigned lane = threadIdx.x % 32;
  for (unsigned m = 0; m < 4; ++m) {
    std::memcpy(&part[m], static_cast<const unsigned char*>(rows[8 * m + lane / 4]) + lane % 4 * 4, 4);
  }
}

struct Fragments {
  std::uint32_t a[4], b[2];
};

inline float coordinate(std::uint32_t two, unsigned which) {
  static const std::vector<float> floats = [] {
    std::vector<float> all(1 << 16);
    for (unsigned bits = 0; bits < all.size(); ++bits) {
      const auto half_bits = static_cast<std::uint16_t>(bits);
      __half half;
      std::memcpy(&half, &half_bits, sizeof half);
      all[bits] = __half2float(half);
    }
    return all;
  }();
  return floats[two >> (16 * which) & 0xFFFFu];
}

// Sums are cut off, as tensor cores do, not rounded.
inline void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  const auto all = emulated::exchange(Fragments{{a[0], a[1], a[2], a[3]}, {b0, b1}});
  const unsigned lane = threadIdx.x % 32;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned below = i / 2, column = lane % 4 * 2 + i % 2;
    double total = static_cast<double>(sum[i]);
    for (unsigned c = 0; c < 16; ++c) {
      const Fragments& row = all[lane / 4 * 4 + c % 8 / 2];
      const Fragments& other = all[column * 4 + c % 8 / 2];
      total += static_cast<double>(coordinate(row.a[below + c / 8 * 2], c % 2)) *
               static_cast<double>(coordinate(other.b[c / 8], c % 2));
    }
    const auto near = static_cast<float>(total);
    sum[i] = std::fabs(static_cast<double>(near)) > std::fabs(total) ? std::nextafter(near, 0.0f) : near;
  }
}

inline void multiply(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  for (float& one : sum) one = 0.0f;
  multiply_add(sum, a, b0, b1);
}

}  // namespace pyredund::cuda
