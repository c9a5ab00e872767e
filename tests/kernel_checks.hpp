#pragma once

// What the checks of the kernels of one instruction set (PYREDUND_ISA) share. Each prints the first difference from
// plain loops and fails, or prints "right".
#include <cstdio>
#include <random>
#include <vector>

#include "cpu/kernels.hpp"

#define PYREDUND_TABLE_OF(isa) kKernels_##isa
#define PYREDUND_TABLE(isa) PYREDUND_TABLE_OF(isa)

namespace {

using namespace pyredund::cpu;

std::mt19937 random_numbers(1);

// Integers, whose sums are exact in any order while they are small.
std::vector<float> integers(std::int64_t count, int from, int to) {
  std::vector<float> numbers(count);
  for (float& number : numbers)
    number = static_cast<float>(std::uniform_int_distribution<int>(from, to)(random_numbers));
  return numbers;
}

bool all_are_right = true;

// Says what differs first, and for which numbers.
void expect(bool is_right, const char* what, std::int64_t a, std::int64_t b = 0, std::int64_t c = 0) {
  if (all_are_right && !is_right) std::printf("%s differ: %d %d %d\n", what, int(a), int(b), int(c));
  all_are_right = all_are_right && is_right;
}

// The exit status.
int verdict() {
  if (all_are_right) std::printf("right\n");
  return all_are_right ? 0 : 1;
}

}  // namespace
