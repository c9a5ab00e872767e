#include "thread_team.hpp"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace pyredund {
namespace {

// A new thread inherits its creator's control word, and libraries that the user runs may have changed that
// one.
void use_default_float_environment() {
  std::fesetenv(FE_DFL_ENV);
#if defined(__SSE2__)
  _mm_setcsr(0x1F80);  // all exceptions masked, round to nearest, neither flush-to-zero nor denormals-are-zero
#endif
}

}  // namespace

void run_team(int n_threads, const std::function<void(int)>& body) {
  std::exception_ptr first_error;
  std::mutex error_mutex;
  const auto member = [&](int index) {
    use_default_float_environment();
    try {
      body(index);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(error_mutex);
      if (!first_error) first_error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(n_threads - 1));
  try {
    for (int index = 1; index < n_threads; ++index) threads.emplace_back(member, index);
  } catch (...) {
    // The system refused a thread. Bodies share their work through a counter, so those that run, body(0) at least, will
    // finish it.
  }
  std::fenv_t before;
  std::fegetenv(&before);
  member(0);
  std::fesetenv(&before);
  for (std::thread& thread : threads) thread.join();
  if (first_error) std::rethrow_exception(first_error);
}

int parts_of(std::int64_t rows, int n_threads) {
  constexpr int kMostParts = 8;
  constexpr std::int64_t kRowsWorthThreads = 4096;
  return rows < kRowsWorthThreads ? 1 : std::min(n_threads, kMostParts);
}

void run_parts(std::int64_t rows, int n_threads,
               const std::function<void(int part, std::int64_t begin, std::int64_t end)>& body) {
  const int parts = parts_of(rows, n_threads);
  std::atomic<int> next{0};
  run_team(parts, [&](int) {
    for (int part = next++; part < parts; part = next++) body(part, rows * part / parts, rows * (part + 1) / parts);
  });
}

}  // namespace pyredund
