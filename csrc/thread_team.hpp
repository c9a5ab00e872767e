#pragma once

#include <cstdint>
#include <functional>

namespace pyredund {

// Runs body(0) here (n_threads is at least 1) and body(1) ... body(n_threads - 1) on threads of their own, and returns
// when all have ended. The first exception that a body throws is thrown again here. Threads live for one call only
// (starting one costs some 20 microseconds), so a process that forks between two calls leaves nothing behind that its
// child could wait for. Where the system refuses a thread, its body does not run: bodies share their work through a
// counter. Every body runs in the default floating-point environment: round to nearest, subnormal numbers kept.
void run_team(int n_threads, const std::function<void(int)>& body);

// How many parts `run_parts` makes of these rows: one a thread, but few, since bodies may keep something for each part.
int parts_of(std::int64_t rows, int n_threads);

// Divides rows into parts, and runs body(part, begin, end) for each on the threads of a team.
void run_parts(std::int64_t rows, int n_threads,
               const std::function<void(int part, std::int64_t begin, std::int64_t end)>& body);

}  // namespace pyredund
