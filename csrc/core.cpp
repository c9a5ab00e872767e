// The compiled core's table of contents. Every function takes and fills arrays that Python has checked and
// allocated.
#include "core.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.doc() = "Compiled core of pyredund: unit rows, exact cosine neighbours, greedy selection.";
  pyredund::bind_config(module);
  pyredund::bind_scratch(module);
  pyredund::bind_unit_rows(module);
  pyredund::bind_knn_graph(module);
  pyredund::bind_radius_graph(module);
  pyredund::bind_removal(module);
  pyredund::bind_insertion(module);
  pyredund::bind_refine(module);
  pyredund::bind_kcenter(module);
  pyredund::bind_deduplicate(module);
  pyredund::bind_agglomerative(module);
}
