#include "cpu/kept_lists.hpp"

#include <algorithm>
#include <functional>

#include "cpu/gathered_rows.hpp"
#include "cpu/pair_sort.hpp"
#include "cpu/tile_scan.hpp"

namespace pyredund::cpu {
namespace {

// One search for all rows costs about as much as this share of them renewed one by one: a renewal scores
// every kept row in float64 on one thread, some 20 to 30 times the cost of a pair in the search.
constexpr std::int64_t kRenewalsPerSearch = 32;
constexpr std::int64_t kFewRenewals = 64;
constexpr std::int64_t kLongest = 256;  // neighbours of a list, unless they wear out fast
// Rows that are equally near to many list the same few of them, and wear out all together when these go. Where less
// than this share of the kept rows went since the last search, lists become twice as long, in so many bytes at most.
constexpr std::int64_t kFastWear = 8;
constexpr std::int64_t kBytesOfLists = std::int64_t{192} << 20;
constexpr std::int64_t kBytesPerList = 48;  // beside its neighbours, while it is made
constexpr std::int64_t kRowsPerCheck = 1024;

}  // namespace

KeptLists::KeptLists(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, ListNames names,
                     const std::vector<std::int32_t>& kept, std::int64_t room, Watch& watch)
    : plan_(plan),
      rows_(rows),
      graph_(graph),
      names_(names),
      kept_(kept),
      watch_(watch),
      n_kept_then_(rows.rows),
      first_(static_cast<std::size_t>(rows.rows), 0),
      state_(static_cast<std::size_t>(rows.rows), 0) {
  const std::int64_t average = graph.n_rows > 0 ? graph.indptr[graph.n_rows] / graph.n_rows : 0;
  const std::int64_t fit = (room / std::max<std::int64_t>(rows.rows, 1) - kBytesPerList) / 8;
  length_ = std::clamp<std::int64_t>(std::min(average, fit), 2, kLongest);
  longest_ = std::min(fit, kBytesOfLists / 8 / std::max<std::int64_t>(rows.rows, 1));
  if (fit < std::min(average, kLongest)) plan_.spare_bytes = 0;
  for (std::int32_t i = 0; i < rows.rows; ++i) state_[i] = lists_all(i) ? kComplete : 0;
}

// Whether the graph lists every other class for class i.
bool KeptLists::lists_all(std::int32_t i) const {
  const List row = list(i);
  if (row.length < rows_.rows - 1) return false;
  std::vector<char> is_listed(static_cast<std::size_t>(rows_.rows), 0);
  for (std::int64_t at = 0; at < row.length; ++at) is_listed[row.id(at)] = 1;
  is_listed[i] = 1;
  return std::count(is_listed.begin(), is_listed.end(), 1) == rows_.rows;
}

KeptLists::List KeptLists::list(std::int32_t i) const {
  if ((state_[i] & kRenewed) != 0) {
    const RenewedList& own = renewed_.at(i);
    return {own.ids.data(), own.similarities.data(), static_cast<std::int64_t>(own.ids.size()), nullptr};
  }
  const std::int64_t row = names_.row(i), begin = graph_.indptr[row];
  return {graph_.indices + begin, graph_.similarities + begin, graph_.indptr[row + 1] - begin, names_.class_of};
}

Neighbor KeptLists::nearest(std::int32_t i, std::int32_t but) {
  for (;;) {
    const Neighbor found = listed(i, but);
    if (found.id != kNotListed) return found;
    renew(i);
  }
}

Neighbor KeptLists::listed(std::int32_t i, std::int32_t but) {
  const List row = list(i);
  std::int32_t& first = first_[i];
  while (first < row.length && !is_kept(row.id(first))) ++first;
  for (std::int64_t at = first; at < row.length; ++at) {
    const std::int32_t id = row.id(at);
    if (is_kept(id) && id != but && id != i) return {id, row.similarities[at]};
  }
  return {is_complete(i) ? -1 : kNotListed, -1.0f};
}

void KeptLists::for_each_tied(std::int32_t i, float similarity, const std::function<void(std::int32_t)>& visit,
                              const std::function<bool()>& enough) {
  const List row = list(i);
  std::int64_t at = first_[i];
  for (; at < row.length && row.similarities[at] == similarity; ++at) {
    if (is_kept(row.id(at))) visit(row.id(at));
  }
  if (at < row.length || is_complete(i) || enough()) return;
  for (std::int64_t j = 0; j < rows_.rows; ++j) {  // the tie may go on beyond the list's end
    if (j % kRowsPerCheck == 0) check(watch_);
    const auto id = static_cast<std::int32_t>(j);
    if (is_kept(j) && id != i && exact(i, id) == similarity) visit(id);
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
    if (!is_kept(j) || id == i) continue;
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
  RenewedList own;
  for (const std::uint64_t pair : best) {
    own.ids.push_back(pair_id(pair));
    own.similarities.push_back(pair_score(pair));
  }
  renewed_[i] = std::move(own);
  first_[i] = 0;
  state_[i] = kRenewed | (others <= length_ ? kComplete : 0);
}

void KeptLists::renew_all() {
  std::vector<std::int32_t> ids;  // kept rows, and where each row lies among them
  std::vector<std::int32_t> place(static_cast<std::size_t>(rows_.rows), -1);
  for (std::int64_t j = 0; j < rows_.rows; ++j) {
    if (!is_kept(j)) continue;
    place[j] = static_cast<std::int32_t>(ids.size());
    ids.push_back(static_cast<std::int32_t>(j));
  }
  const auto n_kept = static_cast<std::int64_t>(ids.size());
  if (n_kept_then_ - n_kept < n_kept_then_ / kFastWear && 2 * length_ <= longest_) length_ *= 2;
  n_kept_then_ = n_kept;
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
  names_ = {};
  n_renewals_ = 0;
  renewed_.clear();
  std::fill(first_.begin(), first_.end(), 0);
  for (std::int64_t i = 0; i < rows_.rows; ++i) state_[i] = n_kept - (is_kept(i) ? 1 : 0) <= length ? kComplete : 0;
}

}  // namespace pyredund::cpu
