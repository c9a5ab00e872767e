#pragma once

#include <atomic>
#include <cstdint>

namespace pyredund {

// What a long computation shares with the thread that waits for it: a request to stop, and how far it has
// come.
struct Watch {
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> done{0};
  std::atomic<std::int64_t> total{0};
};

// Thrown by a computation that was asked to stop: its result is incomplete and must not be used.
struct Interrupted {};

inline void check(const Watch& watch) {
  if (watch.stop.load(std::memory_order_relaxed)) throw Interrupted{};
}

}  // namespace pyredund
