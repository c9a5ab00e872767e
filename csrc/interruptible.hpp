#pragma once

#include <pybind11/pybind11.h>

#include <functional>

#include "watch.hpp"

namespace pyredund {

// Runs `compute` on another thread with the GIL released, while the calling thread looks every 20 ms for a
// signal (Ctrl-C) and reports to `progress`, a Python callable (done, total) or None. Whatever the handler or
// the callable raises stops the computation and is raised here, as is any exception of `compute`.
void run_interruptibly(const pybind11::object& progress, const std::function<void(Watch&)>& compute);

// Runs what takes a millisecond or so on the calling thread, with the GIL released, and looks for no signal meanwhile:
// to start another thread takes a tenth of that.
void run_briefly(const std::function<void(Watch&)>& compute);

// To be called at the end of a computation that takes several times as much as it returns: glibc keeps what a thread
// has freed in store for that thread, out of reach of the one that goes on. Costs about a millisecond for each 10 MB.
void give_back_memory();
constexpr std::int64_t kManyRows = 100000;  // a selection from fewer keeps a few MB in store, and is quicker

}  // namespace pyredund
