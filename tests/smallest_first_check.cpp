// Checks smallest_first against std::sort; prints the first sizes for which they differ and fails.
#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "cpu/smallest_first.hpp"

int main() {
  std::mt19937_64 random_numbers(1);
  for (int at = 0; at < 3000; ++at) {
    const std::int64_t size = 1 + static_cast<std::int64_t>(random_numbers() % (at % 10 == 0 ? 20000 : 400));
    const std::int64_t count = static_cast<std::int64_t>(random_numbers() % static_cast<std::uint64_t>(size + 1));
    std::vector<std::uint64_t> numbers(size);
    for (std::int64_t i = 0; i < size; ++i) {
      // Random, ascending, descending, in runs, and with equal ones among them.
      const std::uint64_t place = static_cast<std::uint64_t>(i);
      const std::uint64_t period = static_cast<std::uint64_t>(size) / 64 + 1;  // of the sample
      const std::uint64_t kinds[] = {random_numbers(),
                                     place,
                                     ~place,
                                     place % 17 << 32 | place,
                                     random_numbers() % 5,
                                     place % period << 32 | place};
      numbers[i] = kinds[at % 6];
    }
    std::vector<std::uint64_t> sorted(numbers);
    std::sort(sorted.begin(), sorted.end());
    pyredund::cpu::smallest_first(numbers.data(), size, count);
    std::sort(numbers.begin(), numbers.begin() + count);
    std::sort(numbers.begin() + count, numbers.end());
    if (numbers == sorted) continue;
    std::printf("differs: %d of %d numbers\n", int(count), int(size));
    return 1;
  }
  std::printf("right\n");
}
