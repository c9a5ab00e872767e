#include "core.hpp"
namespace pyredund { void bind_removal(pybind11::module_&) {} }
