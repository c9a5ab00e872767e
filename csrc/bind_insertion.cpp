#include "core.hpp"
namespace pyredund { void bind_insertion(pybind11::module_&) {} }
