#pragma once

#include <cstdint>
#include <vector>

#include "cpu/cluster_graph.hpp"
#include "cpu/kernels.hpp"
#include "cpu/radius_graph.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

enum class Linkage { kAverage, kComplete, kSingle };

// Clusters of unit rows, numbered in the order of their lowest rows, which merge in stages. The heights are distances,
// 1 less the unrounded score; of average linkage 1 - S.S' / (|A| |A'|), S being float64 sums added up as clusters
// merge.
class Agglomeration {
 public:
  // Row i stands for sizes[i] identical ones. Rows and sizes must outlive this.
  Agglomeration(const Kernels& kernels, MatrixView rows, const std::int64_t* sizes, Linkage linkage);

  std::int64_t n_clusters() const { return static_cast<std::int64_t>(first_.size()); }
  const std::vector<std::int32_t>& labels() const { return label_; }  // cluster of each row
  const std::vector<std::int32_t>& first() const { return first_; }   // lowest row of each cluster
  void means(std::int64_t stride, float* out) const;                  // average linkage only

  double height(std::int32_t a, std::int32_t b, const Watch& watch) const;

  // Candidates for merges up to `limit`, at most about `most` pairs of points: of single linkage rows; otherwise one
  // point for each cluster, its mean row (average) or lowest row (complete). Points are what similar_pairs takes.
  // `groups`, of single linkage: clusters of these rows, and of reference rows.
  SimilarPairs candidates(const SearchPlan& plan, MatrixView points, const Sketch& sketch, const MatrixView* reference,
                          const std::int32_t* groups, const std::int32_t* reference_groups, double limit,
                          std::int64_t most, Watch& watch) const;

  // Merges the clusters of least height (ties: lower first row, then lower other row), again and again, until `most`
  // merges are done or none of a height up to `limit` is left; returns how many were done. The pairs must include, with
  // kSlack to spare, every two clusters not higher than `limit`; others are ignored. Single linkage takes pairs of rows
  // instead: all those of different clusters not farther apart than `limit`.
  std::int64_t merge(const std::int32_t* left, const std::int32_t* right, std::int64_t n_pairs, double limit,
                     std::int64_t most, int n_threads, Watch& watch);

  // All merges: lowest rows of the two clusters, the lower one first, and heights as they were computed.
  struct Merge {
    std::int32_t left, right;
    double height;
  };
  const std::vector<Merge>& merges() const { return merges_; }

  // What rounding of sums may add to a height: pairs this much above a limit can still lead to merges below it.
  static constexpr double kSlack = 1.0 / (1 << 30);

 private:
  struct Sum;

  Sum sum_of(std::int32_t id) const;
  double average_height(const Sum& x, const Sum& y) const;
  double pair_distance(std::int32_t row, std::int32_t other) const;
  double closest(std::int32_t a, std::int32_t b, const Watch& watch) const;
  double farthest(std::int32_t a, std::int32_t b, double limit, const Watch& watch) const;
  void list_members();
  std::vector<ClusterPair> pairs_up_to(double reach, const std::int32_t* left, const std::int32_t* right,
                                       std::int64_t n_pairs, int n_threads, const Watch& watch) const;
  void merge_along(ClusterGraph graph, std::int64_t most, Watch& watch);
  std::int64_t add_sums(std::int32_t a, std::int32_t b);
  void renumber(const std::vector<std::int32_t>& into, const std::vector<std::int32_t>& last);

  const Kernels& kernels_;
  MatrixView rows_;
  Linkage linkage_;
  std::vector<std::int32_t> label_, first_;
  std::vector<std::int64_t> size_;  // identical rows counted
  std::vector<std::int64_t> slot_;  // where a cluster's sum lies in sums_; -1: it is one row
  std::vector<double> sums_;
  std::vector<std::int64_t> member_ptr_;  // complete linkage: rows of each cluster
  std::vector<std::int32_t> members_;
  std::vector<Merge> merges_;
};

}  // namespace pyredund::cpu
