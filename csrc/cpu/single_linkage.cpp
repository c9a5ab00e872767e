#include "cpu/single_linkage.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>

namespace pyredund::cpu {
namespace {

// The lowest number of the cluster that each has become part of.
class Lowest {
 public:
  explicit Lowest(std::int64_t n) : into_(static_cast<std::size_t>(n)) { std::iota(into_.begin(), into_.end(), 0); }

  std::int32_t operator()(std::int32_t c) {
    while (into_[c] != c) c = into_[c] = into_[into_[c]];
    return c;
  }
  void merge(std::int32_t a, std::int32_t b) { into_[b] = a; }

 private:
  std::vector<std::int32_t> into_;
};

}  // namespace

// Kruskal's algorithm (1956). Among pairs of one height the lowest cluster goes on merging with its lowest neighbour
// until it has none, as in Prim's algorithm (1957): it is the lowest of all all the time.
std::vector<ClusterPair> single_linkage(std::int64_t n, std::vector<ClusterPair>& pairs, std::int64_t most,
                                        Watch& watch) {
  std::sort(pairs.begin(), pairs.end(), [](const ClusterPair& x, const ClusterPair& y) { return x.height < y.height; });
  std::vector<ClusterPair> merges;
  Lowest lowest(n);
  std::vector<std::pair<std::int32_t, std::int32_t>> links;  // of clusters at one height, both ways
  std::priority_queue<std::int32_t, std::vector<std::int32_t>, std::greater<>> near;
  const auto add_neighbours_of = [&](std::int32_t c) {
    const auto from = std::lower_bound(links.begin(), links.end(), std::make_pair(c, std::int32_t{-1}));
    for (auto link = from; link != links.end() && link->first == c; ++link) near.push(link->second);
  };
  for (std::size_t begin = 0, end = 0; begin < pairs.size(); begin = end) {
    check(watch);
    const double height = pairs[begin].height;
    links.clear();
    for (; end < pairs.size() && pairs[end].height == height; ++end) {
      const std::int32_t a = lowest(pairs[end].a), b = lowest(pairs[end].b);
      if (a == b) continue;
      links.emplace_back(a, b);
      links.emplace_back(b, a);
    }
    std::sort(links.begin(), links.end());
    for (std::size_t l = 0; l < links.size(); ++l) {
      const std::int32_t a = links[l].first;
      if (lowest(a) != a || (l > 0 && links[l - 1].first == a)) continue;  // merged by now, or done
      for (add_neighbours_of(a); !near.empty();) {
        const std::int32_t b = near.top();
        near.pop();
        if (lowest(b) == a) continue;
        if (static_cast<std::int64_t>(merges.size()) == most) return merges;
        if (merges.size() % 1024 == 0) check(watch);
        merges.push_back({height, a, b});
        lowest.merge(a, b);
        add_neighbours_of(b);
      }
    }
  }
  return merges;
}

}  // namespace pyredund::cpu
