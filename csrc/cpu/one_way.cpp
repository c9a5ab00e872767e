#include "cpu/one_way.hpp"

#include <utility>

#include "cpu/pair_sort.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {

OneWay edges_one_way(const NeighborGraph& graph, const std::int32_t* weights, int n_threads, const Watch& watch) {
  const std::int64_t n = graph.n_rows;
  // Lists are the beginning of a ranking by similarity descending, then row ascending: v lists u if u is not beyond the
  // end of v's list.
  std::vector<OneWay::Edge> last(static_cast<std::size_t>(n));
  for (std::int64_t v = 0; v < n; ++v) {
    const std::int64_t end = graph.indptr[v + 1];
    if (is_copy(weights, v)) {
      last[v] = {-2.0f, -1};  // as if it listed everything
    } else if (end == graph.indptr[v]) {
      last[v] = {2.0f, -1};
    } else {
      last[v] = {graph.similarities[end - 1], graph.indices[end - 1]};
    }
  }
  const auto is_one_way = [&](std::int64_t u, std::int64_t e) {
    const OneWay::Edge& end = last[graph.indices[e]];
    const float similarity = graph.similarities[e];
    return (similarity < end.similarity) | ((similarity == end.similarity) & (u > end.row));
  };

  // Each thread goes over the edges of some rows, twice: first counting, for every row, then filling its places.
  std::vector<std::vector<std::int32_t>> counts(static_cast<std::size_t>(parts_of(n, n_threads)));
  run_parts(n, n_threads, [&](int part, std::int64_t begin, std::int64_t end) {
    counts[part].assign(static_cast<std::size_t>(n), 0);
    std::int32_t* const count = counts[part].data();
    for (std::int64_t u = begin; u < end; ++u) {
      if (u % 4096 == 0) check(watch);
      if (is_copy(weights, u)) continue;
      for (std::int64_t e = graph.indptr[u]; e < graph.indptr[u + 1]; ++e) {
        count[graph.indices[e]] += is_one_way(u, e) ? 1 : 0;
      }
    }
  });
  OneWay found;
  found.indptr.resize(static_cast<std::size_t>(n + 1), 0);
  for (std::int64_t v = 0; v < n; ++v) {
    std::int32_t total = 0;  // then where each thread's places begin, behind those of the row
    for (std::vector<std::int32_t>& count : counts) total += std::exchange(count[v], total);
    found.indptr[v + 1] = found.indptr[v] + total;
  }
  found.edges.reset(new OneWay::Edge[static_cast<std::size_t>(found.indptr[n])]);
  run_parts(n, n_threads, [&](int part, std::int64_t begin, std::int64_t end) {
    std::int32_t* const next = counts[part].data();
    for (std::int64_t u = begin; u < end; ++u) {
      if (u % 4096 == 0) check(watch);
      if (is_copy(weights, u)) continue;
      for (std::int64_t e = graph.indptr[u]; e < graph.indptr[u + 1]; ++e) {
        const std::int32_t v = graph.indices[e];
        if (is_one_way(u, e)) {
          found.edges[found.indptr[v] + next[v]++] = {graph.similarities[e], static_cast<std::int32_t>(u)};
        }
      }
    }
  });
  run_parts(n, n_threads, [&](int, std::int64_t begin, std::int64_t end) {
    PairSort sort;
    for (std::int64_t v = begin; v < end; ++v) {
      if (v % 4096 == 0) check(watch);
      OneWay::Edge* const edges = found.edges.get() + found.indptr[v];
      const std::int64_t length = found.length(v);
      std::uint64_t* const pairs = sort.room_for(length);
      for (std::int64_t i = 0; i < length; ++i) pairs[i] = pack_pair(edges[i].row, edges[i].similarity);
      const std::uint64_t* const sorted = sort.sorted();
      for (std::int64_t i = 0; i < length; ++i) edges[i] = {pair_score(sorted[i]), pair_id(sorted[i])};
    }
  });
  return found;
}

}  // namespace pyredund::cpu
