#pragma once

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "core.hpp"
#include "cpu/sketch.hpp"

namespace pyredund {

template <typename T>
Array<T> part_of(const pybind11::tuple& parts, std::size_t index) {
  if (!pybind11::isinstance<Array<T>>(parts[index]))
    throw pybind11::type_error("part " + std::to_string(index) + " of the sketch");
  return parts[index].cast<Array<T>>();  // no copy, and the tuple keeps it alive
}

// Refuses sizes that would have kernels read beyond rows.
inline void check_sketch(const cpu::Sketch& sketch) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw pybind11::value_error(std::string("a sketch must have ") + what);
  };
  require(sketch.dim > 0 && sketch.dim <= 256 && sketch.dim % 4 == 0, "rows of 4, 8, ... or 256 bytes");
  require(sketch.block > 0, "blocks of at least one row");
  require(sketch.z_dim > 0 && sketch.z_dim <= sketch.z_stride, "centres that hold all coordinates");
  std::int64_t before = sketch.z_stride;
  for (const std::int64_t length : sketch.lengths) {
    require(length >= before && length % 8 == 0, "ascending lengths of whole groups of 8");
    before = length + 1;
  }
  const auto n_lengths = static_cast<std::int64_t>(sketch.lengths.size());
  require(n_lengths == 0 || sketch.lengths.back() + n_lengths - 1 <= sketch.bounds_stride,
          "bounds that hold all lengths and the norms beyond them");
  require(sketch.words_stride % cpu::kWordsTogether == 0, "whole groups of words");
}

// `sketch` is None or the named tuple of _sketch.py: arrays and numbers of sketch.hpp, None where a part is absent.
inline cpu::Sketch view_sketch(const pybind11::object& sketch) {
  if (sketch.is_none()) return {};
  const auto parts = sketch.cast<pybind11::tuple>();
  cpu::Sketch view;
  if (!parts[0].is_none()) view.order = part_of<std::int32_t>(parts, 0).data();
  view.bytes = part_of<std::uint8_t>(parts, 1).mutable_data();
  view.n_rows = part_of<std::uint8_t>(parts, 1).shape(0);
  view.dim = part_of<std::uint8_t>(parts, 1).shape(1);
  view.errors = part_of<float>(parts, 2).mutable_data();
  view.norms = part_of<float>(parts, 3).mutable_data();
  view.centres = part_of<float>(parts, 4).mutable_data();
  view.z_stride = part_of<float>(parts, 4).shape(1);
  view.scales = part_of<float>(parts, 5).mutable_data();
  view.most_errors = part_of<float>(parts, 6).mutable_data();
  view.block = parts[7].cast<std::int64_t>();
  view.z_dim = parts[8].cast<std::int64_t>();
  view.margin = parts[9].cast<double>();
  if (!parts[10].is_none()) {
    view.bounds = part_of<float>(parts, 10).mutable_data();
    view.bounds_stride = part_of<float>(parts, 10).shape(1);
    view.lengths = parts[11].cast<std::vector<std::int64_t>>();
    view.bounds_slack = parts[12].cast<double>();
  }
  if (!parts[13].is_none()) {
    view.cells = part_of<float>(parts, 13).data();
    view.cells_dim = part_of<float>(parts, 13).shape(1);
    view.cell_centres = part_of<float>(parts, 14).data();
    view.cell_cosines = part_of<float>(parts, 15).data();
    view.n_cells = part_of<float>(parts, 15).shape(0);
    const Array<float> centres = part_of<float>(parts, 14);
    if (centres.shape(0) != view.n_cells || centres.shape(1) != view.cells_dim)
      throw pybind11::value_error("a sketch must have a centre as long as a short row for every cell");
    view.cells_slack = parts[16].cast<double>();
  }
  if (!parts[17].is_none()) {
    view.words = part_of<std::int16_t>(parts, 17).mutable_data();
    view.words_stride = part_of<std::int16_t>(parts, 17).shape(1);
    view.word_errors = part_of<float>(parts, 18).mutable_data();
  }
  check_sketch(view);
  return view;
}

}  // namespace pyredund
