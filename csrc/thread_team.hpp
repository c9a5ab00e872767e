#pragma once

#include <functional>

namespace pyredund {

// Runs body(0) ... body(n_threads - 1), each on a thread of its own, and returns when all have ended. The
// first exception that a body throws is thrown again here. Threads live for one call only (starting one costs
// some 20 microseconds), so a process that forks between two calls leaves nothing behind that its child could
// wait for. Every thread runs in the default floating-point environment: round to nearest, subnormal numbers
// kept.
void run_team(int n_threads, const std::function<void(int)>& body);

}  // namespace pyredund
