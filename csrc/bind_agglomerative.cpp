#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "core.hpp"
#include "cpu/agglomerative.hpp"
#include "cpu/central_rows.hpp"
#include "cpu/instruction_set.hpp"
#include "interruptible.hpp"
#include "sketch_view.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

cpu::Linkage linkage_named(const std::string& name) {
  if (name == "average") return cpu::Linkage::kAverage;
  if (name == "complete") return cpu::Linkage::kComplete;
  if (name == "single") return cpu::Linkage::kSingle;
  throw std::invalid_argument("linkage " + name);
}

// Clusters between two stages; holds on to the arrays that they are made of.
class Agglomeration {
 public:
  Agglomeration(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& sizes,
                const std::string& linkage, const std::string& isa)
      : rows_(rows),
        clusters_(std::make_unique<cpu::Agglomeration>(cpu::kernels_for(isa), view_rows(rows, dim), sizes.data(),
                                                       linkage_named(linkage))) {}

  std::int64_t n_clusters() const { return clusters_->n_clusters(); }
  py::array_t<std::int32_t> labels() const { return as_array(clusters_->labels()); }
  py::array_t<std::int32_t> first() const { return as_array(clusters_->first()); }

  void means(Array<float>& out) const { clusters_->means(out.shape(1), out.mutable_data()); }

  py::array_t<double> heights(const Array<std::int32_t>& left, const Array<std::int32_t>& right) const {
    std::vector<double> found(static_cast<std::size_t>(left.size()));
    const std::int32_t* const from = left.data();
    const std::int32_t* const to = right.data();
    run_interruptibly(py::none(), [&](Watch& watch) {
      for (std::size_t p = 0; p < found.size(); ++p) found[p] = clusters_->height(from[p], to[p], watch);
    });
    return as_array(found);
  }

  // (left, right, similarities), or None where there are more than `most` pairs.
  py::object candidates(const Array<float>& points, std::int64_t dim, const py::object& sketch,
                        const std::optional<Array<float>>& reference, const std::optional<Array<std::int32_t>>& groups,
                        const std::optional<Array<std::int32_t>>& reference_groups, double limit, std::int64_t most,
                        int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) const {
    const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
    const MatrixView view = view_rows(points, dim);
    const std::optional<MatrixView> others = reference ? std::optional(view_rows(*reference, dim)) : std::nullopt;
    const cpu::Sketch coarse = view_sketch(sketch);
    const std::int32_t* const group = groups ? groups->data() : nullptr;
    const std::int32_t* const other_group = reference_groups ? reference_groups->data() : nullptr;
    SimilarPairs pairs;
    run_interruptibly(progress, [&](Watch& watch) {
      pairs = clusters_->candidates(plan, view, coarse, others ? &*others : nullptr, group, other_group, limit, most,
                                    watch);
    });
    return as_tuple(std::move(pairs));
  }

  std::int64_t merge(const Array<std::int32_t>& left, const Array<std::int32_t>& right, double limit, std::int64_t most,
                     int n_threads, const py::object& progress) {
    const std::int32_t* const from = left.data();
    const std::int32_t* const to = right.data();
    const std::int64_t n_pairs = left.size();
    std::int64_t done = 0;
    run_interruptibly(progress,
                      [&](Watch& watch) { done = clusters_->merge(from, to, n_pairs, limit, most, n_threads, watch); });
    return done;
  }

  py::tuple merges() const {
    std::vector<std::int32_t> left, right;
    std::vector<double> heights;
    for (const cpu::Agglomeration::Merge& merge : clusters_->merges()) {
      left.push_back(merge.left);
      right.push_back(merge.right);
      heights.push_back(merge.height);
    }
    return py::make_tuple(as_array(left), as_array(right), as_array(heights));
  }

 private:
  Array<float> rows_;
  std::unique_ptr<cpu::Agglomeration> clusters_;
};

void central_rows(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& sizes,
                  const Array<std::int32_t>& member_ptr, const Array<std::int32_t>& members, Array<std::int64_t>& sums,
                  int n_threads, const std::string& isa, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, 0};
  const MatrixView view = view_rows(rows, dim);
  const cpu::Members clusters{member_ptr.data(), members.data()};
  const std::int64_t* const counts = sizes.data();
  const std::int64_t n_clusters = member_ptr.shape(0) - 1;
  std::int64_t* const out = sums.mutable_data();
  run_interruptibly(progress,
                    [&](Watch& watch) { cpu::central_rows(plan, view, counts, clusters, n_clusters, out, watch); });
}

}  // namespace

void bind_agglomerative(py::module_& module) {
  using py::arg;
  py::class_<Agglomeration>(module, "Agglomeration")
      .def(py::init<const Array<float>&, std::int64_t, const Array<std::int64_t>&, const std::string&,
                    const std::string&>(),
           arg("rows").noconvert(), arg("dim"), arg("sizes").noconvert(), arg("linkage"), arg("isa"))
      .def_property_readonly("n_clusters", &Agglomeration::n_clusters)
      .def("labels", &Agglomeration::labels)
      .def("first", &Agglomeration::first)
      .def("means", &Agglomeration::means, arg("out").noconvert())
      .def("heights", &Agglomeration::heights, arg("left").noconvert(), arg("right").noconvert())
      .def("candidates", &Agglomeration::candidates, arg("points").noconvert(), arg("dim"), arg("sketch"),
           arg("reference"), arg("groups"), arg("reference_groups"), arg("limit"), arg("most"), arg("n_threads"),
           arg("isa"), arg("block"), arg("progress"))
      .def("merge", &Agglomeration::merge, arg("left").noconvert(), arg("right").noconvert(), arg("limit"), arg("most"),
           arg("n_threads"), arg("progress"))
      .def("merges", &Agglomeration::merges);
  module.def("central_rows", &central_rows, arg("rows").noconvert(), arg("dim"), arg("sizes").noconvert(),
             arg("member_ptr").noconvert(), arg("members").noconvert(), arg("sums").noconvert(), arg("n_threads"),
             arg("isa"), arg("progress"));
}

}  // namespace pyredund
