#include "cpu/agglomerative.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>

#include "cpu/single_linkage.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr std::int64_t kPairsAtOnce = 256;  // that a thread takes
// How far the float32 similarity of two rows, mean rows included, lies from 1 less their clusters' height, at most.
constexpr double kMargin = 1.0 / (1 << 22);

template <typename X, typename Y>
double product(const X& x, const Y& y, std::int64_t stride) {
  double lane[8] = {};
  for (std::int64_t i = 0; i < stride; i += 8) {
    for (int l = 0; l < 8; ++l) lane[l] += x(i + l) * y(i + l);
  }
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

}  // namespace

// The sum over the rows of a cluster: stored, or one row so many times.
struct Agglomeration::Sum {
  const double* stored;
  const float* row;
  double size;

  double operator()(std::int64_t i) const { return stored != nullptr ? stored[i] : size * static_cast<double>(row[i]); }
};

Agglomeration::Agglomeration(const Kernels& kernels, MatrixView rows, const std::int64_t* sizes, Linkage linkage)
    : kernels_(kernels),
      rows_(rows),
      linkage_(linkage),
      label_(static_cast<std::size_t>(rows.rows)),
      first_(label_.size()),
      size_(sizes, sizes + rows.rows),
      slot_(label_.size(), -1) {
  std::iota(label_.begin(), label_.end(), 0);
  std::iota(first_.begin(), first_.end(), 0);
  if (linkage_ != Linkage::kAverage) list_members();
}

Agglomeration::Sum Agglomeration::sum_of(std::int32_t id) const {
  const double* const stored = slot_[id] < 0 ? nullptr : sums_.data() + slot_[id] * rows_.stride;
  return {stored, stored == nullptr ? rows_.row(first_[id]) : nullptr, static_cast<double>(size_[id])};
}

double Agglomeration::average_height(const Sum& x, const Sum& y) const {
  const std::int64_t stride = rows_.stride;
  const auto stored = [](const double* sum) { return [sum](std::int64_t i) { return sum[i]; }; };
  const double dot = x.size == 1.0 && y.size == 1.0
                         ? kernels_.score(x.row, y.row, stride)  // the same sum, of products that are exact
                     : x.stored == nullptr ? product(x, y, stride)
                     : y.stored == nullptr ? product(stored(x.stored), y, stride)
                                           : product(stored(x.stored), stored(y.stored), stride);
  return 1.0 - dot / (x.size * y.size);
}

void Agglomeration::means(std::int64_t stride, float* out) const {
  for (std::int64_t c = 0; c < n_clusters(); ++c) {
    const Sum sum = sum_of(static_cast<std::int32_t>(c));
    for (std::int64_t i = 0; i < stride; ++i) {
      out[c * stride + i] =
          sum.stored == nullptr ? sum.row[i] : static_cast<float>(sum.stored[i] / sum.size) + 0.0f;  // no -0
    }
  }
}

double Agglomeration::pair_distance(std::int32_t row, std::int32_t other) const {
  return 1.0 - kernels_.score(rows_.row(row), rows_.row(other), rows_.stride);
}

double Agglomeration::farthest(std::int32_t a, std::int32_t b, double limit, const Watch& watch) const {
  double height = -kNone;
  for (std::int64_t i = member_ptr_[a]; i < member_ptr_[a + 1]; ++i) {
    check(watch);  // clusters may be large
    for (std::int64_t j = member_ptr_[b]; j < member_ptr_[b + 1]; ++j) {
      height = std::max(height, pair_distance(members_[i], members_[j]));
      if (height > limit) return kNone;
    }
  }
  return height;
}

double Agglomeration::closest(std::int32_t a, std::int32_t b, const Watch& watch) const {
  double height = kNone;
  for (std::int64_t i = member_ptr_[a]; i < member_ptr_[a + 1]; ++i) {
    check(watch);
    for (std::int64_t j = member_ptr_[b]; j < member_ptr_[b + 1]; ++j) {
      height = std::min(height, pair_distance(members_[i], members_[j]));
    }
  }
  return height;
}

double Agglomeration::height(std::int32_t a, std::int32_t b, const Watch& watch) const {
  if (linkage_ == Linkage::kAverage) return average_height(sum_of(a), sum_of(b));
  return linkage_ == Linkage::kSingle ? closest(a, b, watch) : farthest(a, b, kNone, watch);
}

SimilarPairs Agglomeration::candidates(const SearchPlan& plan, MatrixView points, const Sketch& sketch,
                                       const MatrixView* reference, const std::int32_t* groups,
                                       const std::int32_t* reference_groups, double limit, std::int64_t most,
                                       Watch& watch) const {
  const double reach = linkage_ == Linkage::kAverage ? limit + kSlack : limit;
  const bool of_clusters = linkage_ != Linkage::kSingle && n_clusters() < rows_.rows;
  const MatrixView& columns = reference != nullptr ? *reference : points;
  PairFilter filter{groups, reference_groups, 1.0 - limit + kMargin, {}};
  if (of_clusters && linkage_ == Linkage::kComplete) filter.sure = kNone;  // more than the points decides
  filter.accepts = [&](std::int32_t row, std::int32_t column) {
    if (!of_clusters) return 1.0 - kernels_.score(points.row(row), columns.row(column), points.stride) <= reach;
    const std::int32_t a = sketch.row_at(row), b = sketch.row_at(column);
    return linkage_ == Linkage::kAverage ? average_height(sum_of(a), sum_of(b)) <= reach
                                         : farthest(a, b, reach, watch) <= reach;
  };
  const double threshold = std::clamp(1.0 - limit - kMargin, -1.0, 1.0);
  if (reference != nullptr) return similar_pairs(plan, points, *reference, threshold, most, watch, &filter);
  return similar_pairs(plan, points, sketch, threshold, most, watch, nullptr, &filter);
}

void Agglomeration::list_members() {
  member_ptr_.assign(first_.size() + 1, 0);
  for (const std::int32_t label : label_) ++member_ptr_[label + 1];
  std::partial_sum(member_ptr_.begin(), member_ptr_.end(), member_ptr_.begin());
  std::vector<std::int64_t> next(member_ptr_.begin(), member_ptr_.end() - 1);
  members_.resize(label_.size());
  for (std::size_t row = 0; row < label_.size(); ++row) members_[next[label_[row]]++] = static_cast<std::int32_t>(row);
}

std::vector<ClusterPair> Agglomeration::pairs_up_to(double reach, const std::int32_t* left, const std::int32_t* right,
                                                    std::int64_t n_pairs, int n_threads, const Watch& watch) const {
  std::vector<ClusterPair> pairs(static_cast<std::size_t>(n_pairs));
  const std::int64_t at_once =
      linkage_ == Linkage::kComplete ? 1 + kPairsAtOnce * n_clusters() / rows_.rows : kPairsAtOnce;
  const std::int64_t n_chunks = (n_pairs + at_once - 1) / at_once;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_chunks, 1, n_threads)), [&](int) {
    for (std::int64_t chunk = next++; chunk < n_chunks; chunk = next++) {
      for (std::int64_t p = chunk * at_once; p < std::min(n_pairs, (chunk + 1) * at_once); ++p) {
        std::int32_t a = left[p], b = right[p];
        double height = kNone;
        if (linkage_ == Linkage::kSingle) {
          a = label_[left[p]];
          b = label_[right[p]];
          if (a != b) height = pair_distance(left[p], right[p]);
        } else if (linkage_ == Linkage::kComplete) {
          height = farthest(a, b, reach, watch);
        } else {
          height = average_height(sum_of(a), sum_of(b));
        }
        pairs[p] = {height, std::min(a, b), std::max(a, b)};
      }
      check(watch);
    }
  });
  pairs.erase(std::remove_if(pairs.begin(), pairs.end(), [&](const ClusterPair& p) { return !(p.height <= reach); }),
              pairs.end());
  return pairs;
}

std::int64_t Agglomeration::merge(const std::int32_t* left, const std::int32_t* right, std::int64_t n_pairs,
                                  double limit, std::int64_t most, int n_threads, Watch& watch) {
  const double reach = linkage_ == Linkage::kAverage ? limit + kSlack : limit;
  const std::size_t before = merges_.size();
  std::vector<ClusterPair> pairs = pairs_up_to(reach, left, right, n_pairs, n_threads, watch);
  watch.total += most;
  if (linkage_ == Linkage::kSingle) {
    std::vector<std::int32_t> into(first_.size(), -1), last(into.size());
    std::iota(last.begin(), last.end(), 0);
    for (const ClusterPair& pair : single_linkage(n_clusters(), pairs, most, watch)) {
      merges_.push_back({first_[pair.a], first_[pair.b], pair.height});
      size_[pair.a] += size_[pair.b];
      into[pair.b] = pair.a;
    }
    renumber(into, last);
  } else {
    merge_along(ClusterGraph(n_clusters(), pairs, limit, reach), most, watch);
  }
  return static_cast<std::int64_t>(merges_.size() - before);
}

void Agglomeration::merge_along(ClusterGraph graph, std::int64_t most, Watch& watch) {
  const bool averages = linkage_ == Linkage::kAverage;
  std::vector<std::int32_t> into(first_.size(), -1), last(into.size());  // by place
  std::iota(last.begin(), last.end(), 0);
  ClusterPair pair{};
  for (std::int64_t done = 0; done < most && graph.next(pair); ++done, ++watch.done) {
    check(watch);
    const std::int32_t merged = graph.next_id(), place = graph.place(pair.a), other = graph.place(pair.b);
    merges_.push_back({first_[place], first_[other], pair.height});
    size_.push_back(size_[pair.a] + size_[pair.b]);
    first_.push_back(first_[place]);
    slot_.push_back(averages ? add_sums(pair.a, pair.b) : -1);
    into[other] = place;
    last[place] = merged;
    const Sum sum = sum_of(merged);
    graph.merge(pair, [&](std::int32_t z, double to_a, double to_b) {
      return averages ? average_height(sum, sum_of(z)) : std::max(to_a, to_b);
    });
  }
  renumber(into, last);
}

// Leaves the sum of both where one of them has a place for it, and returns that place.
std::int64_t Agglomeration::add_sums(std::int32_t a, std::int32_t b) {
  const std::int64_t stride = rows_.stride;
  std::int64_t slot = slot_[a] >= 0 ? slot_[a] : slot_[b];
  if (slot < 0) {
    slot = static_cast<std::int64_t>(sums_.size()) / stride;
    sums_.resize(sums_.size() + static_cast<std::size_t>(stride));
  }
  const Sum x = sum_of(a), y = sum_of(b);
  for (std::int64_t i = 0; i < stride; ++i) sums_[slot * stride + i] = x(i) + y(i);
  return slot;
}

// Clusters by place again: place p became cluster last[p] and then, if into[p] is one, part of that lower place.
void Agglomeration::renumber(const std::vector<std::int32_t>& into, const std::vector<std::int32_t>& last) {
  std::vector<std::int32_t> number(into.size());
  std::int32_t count = 0;
  std::vector<std::int64_t> size, slot;
  for (std::size_t place = 0; place < into.size(); ++place) {
    if (into[place] >= 0) {
      number[place] = number[into[place]];
      continue;
    }
    number[place] = count;
    first_[count++] = first_[place];
    size.push_back(size_[last[place]]);
    slot.push_back(slot_[last[place]]);
  }
  first_.resize(static_cast<std::size_t>(count));
  size_ = std::move(size);
  slot_ = std::move(slot);
  for (std::int32_t& label : label_) label = number[label];
  if (linkage_ != Linkage::kAverage) list_members();
}

}  // namespace pyredund::cpu
