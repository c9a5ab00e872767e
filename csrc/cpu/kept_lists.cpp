#include "cpu/kept_lists.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>

#include "cpu/gathered_rows.hpp"
#include "cpu/neighbor_lists.hpp"
#include "cpu/tile_scan.hpp"

namespace pyredund::cpu {
namespace {

// One search for all rows costs about as much as this share of them renewed one by one: a renewal scores
// every kept row in float64 on one thread, some 20 to 30 times the cost of a pair in the search.
constexpr std::int64_t kRenewalsPerSearch = 32;
constexpr std::int64_t kFewRenewals = 64;
constexpr std::int64_t kBytesPerList = 48;  // beside its neighbours, while it is made
constexpr std::int64_t kRowsPerCheck = 1024;

}  // namespace

KeptLists::KeptLists(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph,
                     const std::vector<std::int32_t>& kept, std::int64_t room, Watch& watch)
    : plan_(plan),
      rows_(rows),
      graph_(graph),
      kept_(kept),
      watch_(watch),
      first_(static_cast<std::size_t>(rows.rows), 0),
      renewed_(static_cast<std::size_t>(rows.rows), -1),
      complete_(static_cast<std::size_t>(rows.rows), 0) {
  const std::int64_t average = rows.rows > 0 ? graph.indptr[rows.rows] / rows.rows : 0;
  const std::int64_t room_of_row = room / std::max<std::int64_t>(rows.rows, 1) - kBytesPerList;
  length_ = std::clamp<std::int64_t>(std::min(average, room_of_row / 8), 2, 256);
  if (room_of_row / 8 < std::min<std::int64_t>(average, 256)) plan_.spare_bytes = 0;
  std::vector<std::int32_t> listed_by(static_cast<std::size_t>(rows.rows), -1);
  for (std::int32_t i = 0; i < rows.rows; ++i) {
    for (std::int64_t e = graph.indptr[i]; e < graph.indptr[i + 1]; ++e) {
      std::int32_t& lister = listed_by[graph.indices[e]];
      if (lister == i)
        throw std::invalid_argument("graph must not list a neighbour twice, row " + std::to_string(i) + " does");
      lister = i;
    }
    complete_[i] = graph.indptr[i + 1] - graph.indptr[i] == rows.rows - 1;
  }
}

KeptLists::List KeptLists::list(std::int32_t i) const {
  if (renewed_[i] >= 0) {
    const std::vector<std::int32_t>& ids = renewed_ids_[renewed_[i]];
    return {ids.data(), renewed_similarities_[renewed_[i]].data(), static_cast<std::int64_t>(ids.size())};
  }
  const std::int64_t begin = graph_.indptr[i];
  return {graph_.indices + begin, graph_.similarities + begin, graph_.indptr[i + 1] - begin};
}

Neighbor KeptLists::nearest(std::int32_t i, std::int32_t but) {
  for (;;) {
    const List row = list(i);
    std::int32_t& first = first_[i];
    while (first < row.length && !kept_[row.ids[first]]) ++first;
    for (std::int64_t at = first; at < row.length; ++at) {
      if (kept_[row.ids[at]] && row.ids[at] != but) return {row.ids[at], row.similarities[at]};
    }
    if (complete_[i]) return {-1, -1.0f};
    renew(i);
  }
}

void KeptLists::for_each_tied(std::int32_t i, float similarity, const std::function<void(std::int32_t)>& visit,
                              const std::function<bool()>& enough) {
  const List row = list(i);
  std::int64_t at = first_[i];
  for (; at < row.length && row.similarities[at] == similarity; ++at) {
    if (kept_[row.ids[at]]) visit(row.ids[at]);
  }
  if (at < row.length || complete_[i] || enough()) return;
  for (std::int64_t j = 0; j < rows_.rows; ++j) {  // the tie may go on beyond the list's end
    if (j % kRowsPerCheck == 0) check(watch_);
    const auto id = static_cast<std::int32_t>(j);
    if (kept_[j] && id != i && exact(i, id) == similarity) visit(id);
  }
}

float KeptLists::exact(std::int32_t i, std::int32_t j) const {
  return similarity(*plan_.kernels, rows_.row(i), rows_.row(j), rows_.stride);
}

void KeptLists::renew(std::int32_t i) {
  if (n_renewals_ >= std::max(kFewRenewals, rows_.rows / kRenewalsPerSearch)) return renew_all();
  ++n_renewals_;
  std::vector<std::uint64_t> best;  // a heap whose front is the worst of the best
  std::int64_t others = 0;
  for (std::int64_t j = 0; j < rows_.rows; ++j) {
    if (j % kRowsPerCheck == 0) check(watch_);
    const auto id = static_cast<std::int32_t>(j);
    if (!kept_[j] || id == i) continue;
    ++others;
    const std::uint64_t pair = pack_pair(id, exact(i, id));
    if (static_cast<std::int64_t>(best.size()) < length_) {
      best.push_back(pair);
      std::push_heap(best.begin(), best.end(), std::greater<>());
    } else if (pair > best.front()) {
      std::pop_heap(best.begin(), best.end(), std::greater<>());
      best.back() = pair;
      std::push_heap(best.begin(), best.end(), std::greater<>());
    }
  }
  std::sort(best.begin(), best.end(), std::greater<>());
  std::vector<std::int32_t> ids;
  std::vector<float> similarities;
  for (const std::uint64_t pair : best) {
    ids.push_back(pair_id(pair));
    similarities.push_back(pair_score(pair));
  }
  if (renewed_[i] < 0) {
    renewed_[i] = static_cast<std::int32_t>(renewed_ids_.size());
    renewed_ids_.emplace_back();
    renewed_similarities_.emplace_back();
  }
  renewed_ids_[renewed_[i]] = std::move(ids);
  renewed_similarities_[renewed_[i]] = std::move(similarities);
  first_[i] = 0;
  complete_[i] = others <= length_;
}

void KeptLists::renew_all() {
  std::vector<std::int32_t> ids;  // kept rows, and where each row lies among them
  std::vector<std::int32_t> place(static_cast<std::size_t>(rows_.rows), -1);
  for (std::int64_t j = 0; j < rows_.rows; ++j) {
    if (!kept_[j]) continue;
    place[j] = static_cast<std::int32_t>(ids.size());
    ids.push_back(static_cast<std::int32_t>(j));
  }
  const auto n_kept = static_cast<std::int64_t>(ids.size());
  const GatheredRows kept_rows(rows_, ids.data(), n_kept, watch_);
  // A kept row is no neighbour of itself, so its list may be one shorter than that of a row that is gone.
  const std::int64_t length = std::min(length_, n_kept - 1);
  all_ids_.assign(static_cast<std::size_t>(rows_.rows * length), -1);
  all_similarities_.assign(static_cast<std::size_t>(rows_.rows * length), 0.0f);
  Watch search;  // progress is counted in removals, not in tiles
  search.whole = &watch_;
  knn_query(plan_, rows_, kept_rows.view(), length, all_ids_.data(), all_similarities_.data(), search, place.data());
  for (std::int32_t& id : all_ids_) id = ids[id];
  all_indptr_.resize(static_cast<std::size_t>(rows_.rows + 1));
  for (std::int64_t i = 0; i <= rows_.rows; ++i) all_indptr_[i] = i * length;
  graph_ = {all_indptr_.data(), all_ids_.data(), all_similarities_.data(), rows_.rows};
  n_renewals_ = 0;
  renewed_ids_.clear();
  renewed_similarities_.clear();
  std::fill(renewed_.begin(), renewed_.end(), -1);
  std::fill(first_.begin(), first_.end(), 0);
  for (std::int64_t i = 0; i < rows_.rows; ++i) complete_[i] = n_kept - (kept_[i] ? 1 : 0) <= length;
}

}  // namespace pyredund::cpu
