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
  const Watch* whole = nullptr;  // of the computation that this one is a step of: its request to stop counts too
};

// What a computing thread does besides, now and then; null: nothing. Scratch files use it to keep to their memory.
inline std::atomic<void (*)()> now_and_then{nullptr};

// Thrown by a computation that was asked to stop: its result is incomplete and must not be used.
struct Interrupted {};

inline void check(const Watch& watch) {
  for (const Watch* asked = &watch; asked != nullptr; asked = asked->whole) {
    if (asked->stop.load(std::memory_order_relaxed)) throw Interrupted{};
  }
  if (void (*const act)() = now_and_then.load(std::memory_order_relaxed)) act();
}

}  // namespace pyredund
