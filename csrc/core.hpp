#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <utility>
#include <vector>

#include "matrix_view.hpp"
#include "neighbor_graph.hpp"
#include "results.hpp"

namespace pyredund {

void bind_config(pybind11::module_& module);
void bind_unit_rows(pybind11::module_& module);
void bind_knn_graph(pybind11::module_& module);
void bind_radius_graph(pybind11::module_& module);
void bind_removal(pybind11::module_& module);
void bind_insertion(pybind11::module_& module);
void bind_refine(pybind11::module_& module);
void bind_deduplicate(pybind11::module_& module);
void bind_kcenter(pybind11::module_& module);
void bind_agglomerative(pybind11::module_& module);
void bind_scratch(pybind11::module_& module);

// C-contiguous arrays of exactly this type: a copy made on the way in would lose what is written into it.
template <typename T>
using Array = pybind11::array_t<T, pybind11::array::c_style>;

// The data of an array, null for None.
template <typename T>
const T* data_or_null(const std::optional<Array<T>>& array) {
  return array ? array->data() : nullptr;
}

// A view of unit rows held as a (rows, stride) array.
inline MatrixView view_rows(const Array<float>& matrix, std::int64_t dim) {
  return {matrix.data(), static_cast<std::int64_t>(matrix.shape(0)), dim, static_cast<std::int64_t>(matrix.shape(1))};
}

inline NeighborGraph view_graph(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                const Array<float>& similarities) {
  return {indptr.data(), indices.data(), similarities.data(), static_cast<std::int64_t>(indptr.shape(0)) - 1};
}

template <typename T>
pybind11::array_t<T> as_array(const std::vector<T>& values) {
  return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(values.size()), values.data());
}

// An array that takes over the vector's memory.
template <typename T>
pybind11::array_t<T> moved(std::vector<T>&& values) {
  auto* const held = new std::vector<T>(std::move(values));
  const pybind11::capsule owner(held, [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
  return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(held->size()), held->data(), owner);
}

// (rows, columns, similarities), or None where there are more than were asked for.
inline pybind11::object as_tuple(SimilarPairs&& pairs) {
  if (!pairs.complete) return pybind11::none();
  return pybind11::make_tuple(moved(std::move(pairs.rows)), moved(std::move(pairs.columns)),
                              moved(std::move(pairs.similarities)));
}

inline pybind11::dict as_dict(RemovalLog&& log) {
  pybind11::dict result;
  result["removed"] = moved(std::move(log.removed));
  result["costs"] = moved(std::move(log.costs));
  result["moved_ptr"] = moved(std::move(log.moved_ptr));
  result["moved"] = moved(std::move(log.moved));
  result["nearest"] = moved(std::move(log.nearest));
  result["similarities"] = moved(std::move(log.similarities));
  return result;
}

}  // namespace pyredund
