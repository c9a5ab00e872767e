#include "cpu/identical_rows.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "scratch_space.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kAtOnce = 32;  // rows whose slots are fetched together

std::uint64_t hash_row(const float* row, std::int64_t stride) {
  // Two independent chains of multiply and shift keep the multiplier busy; `stride` is a multiple of 8
  // floats.
  std::uint64_t a = 0x9E3779B97F4A7C15u, b = 0xC2B2AE3D27D4EB4Fu;
  for (std::int64_t i = 0; i < stride; i += 4) {
    std::uint64_t words[2];
    std::memcpy(words, row + i, sizeof words);
    a = (a ^ words[0]) * 0xFF51AFD7ED558CCDu;
    b = (b ^ words[1]) * 0xC4CEB9FE1A85EC53u;
    a ^= a >> 32;
    b ^= b >> 29;
  }
  a = (a ^ (b + (b << 21))) * 0x9FB21C651E98DF25u;
  return a ^ (a >> 31);
}

}  // namespace

std::int64_t collapse_identical_rows(float* data, std::int64_t rows, std::int64_t stride, std::int32_t* class_of,
                                     Watch& watch) {
  std::size_t n_slots = 16;
  while (n_slots < 2 * static_cast<std::size_t>(rows)) n_slots *= 2;
  struct Slot {
    std::int32_t cls = -1;
    std::uint32_t hash = 0;  // its upper half: rows whose hashes differ need not be looked at
  };
  std::vector<Slot> slots(n_slots);  // open addressing
  const std::size_t row_bytes = static_cast<std::size_t>(stride) * sizeof(float);
  const ScratchFile* const file = ScratchFile::at(data);
  std::vector<float> held(file != nullptr ? static_cast<std::size_t>(stride) : 0);
  const auto is_class = [&](const float* row, std::int32_t cls) {
    const float* other = data + cls * stride;
    if (file != nullptr) {  // scattered reads through the map would make many more pages resident
      file->read(other, static_cast<std::int64_t>(row_bytes), held.data());
      other = held.data();
    }
    return std::memcmp(other, row, row_bytes) == 0;
  };
  std::int64_t n_unique = 0;
  std::uint64_t hashes[kAtOnce];
  for (std::int64_t first = 0; first < rows; first += kAtOnce) {
    check(watch);
    const std::int64_t end = std::min(rows, first + kAtOnce);
    for (std::int64_t i = first; i < end; ++i) {  // slots are on their way before they are needed
      hashes[i - first] = hash_row(data + i * stride, stride);
      __builtin_prefetch(&slots[hashes[i - first] & (n_slots - 1)], 1);
    }
    for (std::int64_t i = first; i < end; ++i) {
      const float* row = data + i * stride;
      const std::uint64_t hash = hashes[i - first];
      const auto upper = static_cast<std::uint32_t>(hash >> 32);
      std::size_t at = hash & (n_slots - 1);
      while (slots[at].cls >= 0 && (slots[at].hash != upper || !is_class(row, slots[at].cls))) {
        at = (at + 1) & (n_slots - 1);
      }
      if (slots[at].cls < 0) {
        slots[at] = {static_cast<std::int32_t>(n_unique), upper};
        if (n_unique != i) std::memcpy(data + n_unique * stride, row, row_bytes);
        ++n_unique;
      }
      class_of[i] = slots[at].cls;
    }
  }
  return n_unique;
}

void member_lists(const std::int32_t* class_of, std::int64_t n_rows, std::int64_t n_classes, std::int32_t* member_ptr,
                  std::int32_t* members) {
  std::fill_n(member_ptr, n_classes + 1, 0);
  for (std::int64_t i = 0; i < n_rows; ++i) ++member_ptr[class_of[i] + 1];
  std::partial_sum(member_ptr, member_ptr + n_classes + 1, member_ptr);
  for (std::int64_t i = 0; i < n_rows; ++i) members[member_ptr[class_of[i]]++] = static_cast<std::int32_t>(i);
  std::copy_backward(member_ptr, member_ptr + n_classes, member_ptr + n_classes + 1);  // ends were beginnings
  member_ptr[0] = 0;
}

void expand_identical_rows(const DistinctLists& lists, const std::int32_t* class_of, std::int64_t rows,
                           const Members& members, bool self_join, std::int64_t k, std::int32_t* ids,
                           float* similarities, Watch& watch) {
  std::vector<std::int32_t> tied, list(static_cast<std::size_t>(lists.k));
  std::vector<float> scores(static_cast<std::size_t>(lists.k));
  for (std::int64_t i = rows - 1; i >= 0; --i) {  // no class has a higher number than its rows
    if (i % 4096 == 0) check(watch);
    const std::int64_t own = class_of[i];
    std::copy_n(lists.ids + own * lists.k, lists.k, list.begin());
    std::copy_n(lists.similarities + own * lists.k, lists.k, scores.begin());
    const auto add_members = [&](std::int64_t cls) {
      // No list can hold more than k members of one class, and one more place is taken by row i itself.
      const std::int64_t end = std::min<std::int64_t>(members.member_ptr[cls + 1], members.member_ptr[cls] + k + 1);
      for (std::int64_t m = members.member_ptr[cls]; m < end; ++m) {
        if (!self_join || members.members[m] != i) tied.push_back(members.members[m]);
      }
    };
    std::int64_t at = 0, filled = 0;
    bool own_class_waits = self_join;
    while (filled < k && (own_class_waits || at < lists.k)) {
      const float score = own_class_waits ? 1.0f : scores[at];
      tied.clear();
      if (own_class_waits) add_members(own);
      own_class_waits = false;
      for (; at < lists.k && scores[at] == score; ++at) add_members(list[at]);
      std::sort(tied.begin(), tied.end());
      for (std::size_t t = 0; t < tied.size() && filled < k; ++t, ++filled) {
        ids[i * k + filled] = tied[t];
        similarities[i * k + filled] = score;
      }
    }
  }
}

void expanded_indptr(const NeighborGraph& lists, const std::int32_t* class_of, std::int64_t rows,
                     const Members& members, bool self_join, std::int64_t* indptr, Watch& watch) {
  const auto size = [&](std::int64_t cls) { return members.member_ptr[cls + 1] - members.member_ptr[cls]; };
  std::vector<std::int64_t> of_class(static_cast<std::size_t>(lists.n_rows));
  for (std::int64_t c = 0; c < lists.n_rows; ++c) {
    if (c % 4096 == 0) check(watch);
    of_class[c] = self_join ? size(c) - 1 : 0;
    for (std::int64_t e = lists.indptr[c]; e < lists.indptr[c + 1]; ++e) of_class[c] += size(lists.indices[e]);
  }
  indptr[0] = 0;
  for (std::int64_t i = 0; i < rows; ++i) indptr[i + 1] = indptr[i] + of_class[class_of[i]];
}

void expand_lists(const NeighborGraph& lists, const std::int32_t* class_of, std::int64_t rows, const Members& members,
                  bool self_join, const std::int64_t* indptr, std::int32_t* ids, float* similarities, Watch& watch) {
  for (std::int64_t i = 0; i < rows; ++i) {
    if (i % 256 == 0) check(watch);
    const std::int64_t own = class_of[i];
    std::int64_t next = indptr[i];
    const auto add_members = [&](std::int64_t cls, float score) {
      for (std::int64_t m = members.member_ptr[cls]; m < members.member_ptr[cls + 1]; ++m) {
        if (self_join && members.members[m] == i) continue;
        ids[next] = members.members[m];
        similarities[next++] = score;
      }
    };
    bool own_class_waits = self_join;
    for (std::int64_t e = lists.indptr[own], end = lists.indptr[own + 1]; own_class_waits || e < end;) {
      const float score = own_class_waits ? 1.0f : lists.similarities[e];
      const std::int64_t first = next;
      if (own_class_waits) add_members(own, score);
      own_class_waits = false;
      for (; e < end && lists.similarities[e] == score; ++e) add_members(lists.indices[e], score);
      if (next - first > 1) std::sort(ids + first, ids + next);
    }
  }
}

DistinctGraph collapse_lists(const NeighborGraph& graph, const std::int32_t* class_of, const Members& members,
                             std::int64_t n_distinct, Watch& watch) {
  std::int64_t most = 0;
  for (std::int64_t c = 0; c < n_distinct; ++c) {
    const std::int32_t row = members.members[members.member_ptr[c]];
    most += graph.indptr[row + 1] - graph.indptr[row];
  }
  DistinctGraph found;
  found.indptr.reserve(static_cast<std::size_t>(n_distinct) + 1);
  found.indptr.push_back(0);
  found.indices.resize(static_cast<std::size_t>(most));
  found.similarities.resize(static_cast<std::size_t>(most));
  std::int64_t n_found = 0;
  std::vector<std::int32_t> listed_by(static_cast<std::size_t>(n_distinct), -1);
  for (std::int32_t c = 0; c < n_distinct; ++c) {
    if (c % 4096 == 0) check(watch);
    const std::int32_t row = members.members[members.member_ptr[c]];
    const std::int64_t begin = graph.indptr[row], end = graph.indptr[row + 1];
    const float* const similarity = graph.similarities;
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int32_t other = class_of[graph.indices[e]];
      if (other == c) continue;  // no class is its own neighbour
      // Rows of a class are equally similar, so only among equals is it looked up whether a class is listed already.
      const bool has_equal =
          (e > begin && similarity[e - 1] == similarity[e]) || (e + 1 < end && similarity[e + 1] == similarity[e]);
      if (has_equal && std::exchange(listed_by[other], c) == c) continue;
      found.indices[n_found] = other;
      found.similarities[n_found++] = similarity[e];
    }
    found.indptr.push_back(n_found);
  }
  found.indices.resize(static_cast<std::size_t>(n_found));
  found.similarities.resize(static_cast<std::size_t>(n_found));
  return found;
}

}  // namespace pyredund::cpu
