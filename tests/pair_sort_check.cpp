// Checks PairSort against std::sort; prints the first count for which they differ and fails.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "cpu/pair_sort.hpp"

int main() {
  std::mt19937_64 random_numbers(1);
  pyredund::cpu::PairSort sorter;  // its room is used again and again, for more and for fewer numbers
  for (std::int64_t at = 0; at < 3 * 300 + 9; ++at) {
    const std::int64_t larger[] = {511, 512, 513, 1000, 1024, 1025, 7, 8, 9};
    const std::int64_t count = at < 3 * 300 ? at / 3 : larger[at - 3 * 300];
    const std::uint64_t values[] = {~std::uint64_t{0}, 5, 1};  // how many there are: ties, and all equal
    std::vector<std::uint64_t> numbers(count);
    for (std::uint64_t& number : numbers) number = ~(random_numbers() % values[at % 3]);
    std::copy(numbers.begin(), numbers.end(), sorter.room_for(count));
    const std::uint64_t* const sorted = sorter.sorted();
    std::sort(numbers.begin(), numbers.end(), std::greater<>());
    if (std::equal(numbers.begin(), numbers.end(), sorted)) continue;
    std::printf("differs: %d numbers\n", int(count));
    return 1;
  }
  const float scores[] = {1.0f, 1e-40f, 0.0f, -1e-40f, -0.5f, -1.0f};
  for (std::int32_t id : {0, 1, 2147483646}) {
    for (int s = 0; s < 6; ++s) {
      const std::uint64_t pair = pyredund::cpu::pack_pair(id, scores[s]);
      const bool is_after = s == 0 || pair < pyredund::cpu::pack_pair(2147483647, scores[s - 1]);
      const bool is_before = pair > pyredund::cpu::pack_pair(id + 1, scores[s]);
      if (is_after && is_before && pyredund::cpu::pair_id(pair) == id && pyredund::cpu::pair_score(pair) == scores[s]) {
        continue;
      }
      std::printf("differs: pair of %d and %g\n", int(id), double(scores[s]));
      return 1;
    }
  }
  std::printf("right\n");
}
