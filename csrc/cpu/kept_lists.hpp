#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"

namespace pyredund::cpu {

struct Neighbor {
  std::int32_t id;  // -1: there is none
  float similarity;
};

// As ClassLists, for members that are at hand in any case: where the graph is one of rows, but lists are wanted of the
// classes that they form, class c takes the list of row members[member_ptr[c]], in which row r stands for class
// class_of[r]. Null: the graph is one of classes.
struct ListNames {
  const std::int32_t* member_ptr = nullptr;
  const std::int32_t* members = nullptr;
  const std::int32_t* class_of = nullptr;

  std::int64_t row(std::int32_t c) const { return member_ptr != nullptr ? members[member_ptr[c]] : c; }
};

// The nearest kept rows of every row while rows are taken away, exact however few neighbours the graph lists.
// A row's list is the beginning of its ranking of the other rows. When no kept row is left in it, the row's
// ranking of what is kept is computed afresh; when that happens often, all lists are, in one search.
class KeptLists {
 public:
  // `kept[i]` is above 0 while row i is kept; rows may only ever be taken away. `room`: bytes that lists computed here
  // may take, as far as two neighbours a row fit.
  KeptLists(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, ListNames names,
            const std::vector<std::int32_t>& kept, std::int64_t room, Watch& watch);

  // The first kept row in the ranking of row i, other than i and `but`.
  Neighbor nearest(std::int32_t i, std::int32_t but = -1);

  // Whether the two nearest of row i can be told from its list, without a search; threads may ask of different rows.
  bool tells_two(std::int32_t i) {
    const Neighbor one = listed(i, -1);
    return one.id == -1 || (one.id >= 0 && listed(i, one.id).id != kNotListed);
  }

  // Visits the kept rows that are exactly as similar to row i as `similarity`, that of its nearest kept row: those in
  // its list, and then, if the tie may go on beyond the list and `enough` says no, all. Ids beyond are higher.
  void for_each_tied(std::int32_t i, float similarity, const std::function<void(std::int32_t)>& visit,
                     const std::function<bool()>& enough);

 private:
  struct List {
    const std::int32_t* ids;
    const float* similarities;
    std::int64_t length;
    const std::int32_t* names;  // of the ids; null: they are classes

    std::int32_t id(std::int64_t at) const { return names != nullptr ? names[ids[at]] : ids[at]; }
  };

  struct RenewedList {
    std::vector<std::int32_t> ids;
    std::vector<float> similarities;
  };

  static constexpr std::int32_t kNotListed = -2;

  Neighbor listed(std::int32_t i, std::int32_t but);  // as nearest; kNotListed where the list has no more
  bool is_kept(std::int64_t i) const { return kept_[i] > 0; }
  bool is_complete(std::int32_t i) const { return (state_[i] & kComplete) != 0; }
  bool lists_all(std::int32_t i) const;
  List list(std::int32_t i) const;
  void renew(std::int32_t i);
  void renew_all();
  float exact(std::int32_t i, std::int32_t j) const;

  SearchPlan plan_;
  MatrixView rows_;
  NeighborGraph graph_;
  ListNames names_;
  const std::vector<std::int32_t>& kept_;
  Watch& watch_;
  std::int64_t length_;                         // of a list computed here
  std::int64_t longest_;                        // that lists may become where they wear out fast
  std::int64_t n_renewals_ = 0;                 // scans of all kept rows since the last search
  std::int64_t n_kept_then_;                    // kept rows at the last search
  std::vector<std::int32_t> first_;             // where in its list a row's first kept neighbour can be
  static constexpr std::uint8_t kComplete = 1;  // the list holds every row that was kept when it was made
  static constexpr std::uint8_t kRenewed = 2;   // the list is the one in renewed_, not the graph's
  std::vector<std::uint8_t> state_;             // of each row's list
  std::unordered_map<std::int32_t, RenewedList> renewed_;
  std::vector<std::int64_t> all_indptr_;
  std::vector<std::int32_t> all_ids_;
  std::vector<float> all_similarities_;
};

}  // namespace pyredund::cpu
