#pragma once

// The threads of a block as fibers of one thread: each runs until it waits for the others. A wait that cannot end, as
// where some threads pass a barrier that others do not, is reported instead of hanging.
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#if !defined(__x86_64__) || !defined(__ELF__)
#include <ucontext.h>
#endif

struct ThreadIndex {
  unsigned x;
};
inline thread_local ThreadIndex threadIdx;

namespace emulated {

constexpr int kSharedBytes = 232448;  // of one block, as on sm_90
constexpr int kWarp = 32;
constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kStackBytes = 64 << 10;
constexpr std::size_t kSlotBytes = 64;

// Where a fiber, or the scheduler, goes on. swapcontext makes two system calls, and tests change places many million
// times: hence a few instructions of our own.
#if defined(__x86_64__) && defined(__ELF__)
using Place = void*;  // the stack, on which are the registers that a call leaves as they were
extern "C" void emulated_switch(Place* from, Place to);
asm(R"(
  .pushsection .text.emulated_switch,"axG",@progbits,emulated_switch,comdat
  .weak emulated_switch
  .hidden emulated_switch
  .type emulated_switch,@function
emulated_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
  .size emulated_switch, .-emulated_switch
  .popsection
)");
inline void change(Place& from, Place& to) { emulated_switch(&from, to); }

// A place where `body` begins, which never returns.
inline void begin(Place& place, void (*body)(), char* stack, std::size_t bytes) {
  auto** const top = reinterpret_cast<void**>((reinterpret_cast<std::uintptr_t>(stack) + bytes) / 16 * 16);
  top[-1] = nullptr;                        // from where it was called: the end of the stack
  top[-2] = reinterpret_cast<void*>(body);  // to which the switch returns, where a call would have left the stack
  place = top - 8;
}
#else
using Place = ucontext_t;
inline void change(Place& from, Place& to) { swapcontext(&from, &to); }
inline void begin(Place& place, void (*body)(), char* stack, std::size_t bytes) {
  getcontext(&place);
  place.uc_stack.ss_sp = stack;
  place.uc_stack.ss_size = bytes;
  place.uc_link = nullptr;
  makecontext(&place, body, 0);
}
#endif

// Counts those who have come; the last lets all go.
struct Barrier {
  unsigned arrived = 0, generation = 0;
};

// It lives as long as its block, and runs one thread after the other.
struct Fiber {
  Place at{};
  bool started = false, done = false;
  const Barrier* waits = nullptr;
  unsigned waits_since = 0;
  unsigned exchanges = 0;
};

using Slots = std::array<std::array<unsigned char, kSlotBytes>, kWarp>;

struct Block {
  std::vector<Fiber> fibers;
  std::unique_ptr<char[]> stacks;
  std::vector<Barrier> warps;
  std::vector<std::array<Slots, 2>> slots;  // of each warp
  Barrier barrier;
  unsigned current = 0, live = 0;
  Place scheduler{};
  std::function<void()> thread;
  std::string failure = "no failure";
  alignas(128) unsigned char shared[kSharedBytes];
};

// A thread's block, which another thread has when this one has ended: a block's stacks take megabytes.
class Lease {
 public:
  Lease() {
    const std::lock_guard<std::mutex> lock(mutex());
    if (free().empty()) {
      block_ = new Block;
    } else {
      block_ = free().back();
      free().pop_back();
    }
  }
  ~Lease() {
    const std::lock_guard<std::mutex> lock(mutex());
    free().push_back(block_);
  }
  Block& block() const { return *block_; }

 private:
  static std::mutex& mutex() {
    static std::mutex* const one = new std::mutex;  // as long as the process, in which threads may end after main
    return *one;
  }
  static std::vector<Block*>& free() {
    static auto* const all = new std::vector<Block*>;
    return *all;
  }

  Block* block_;
};

inline Block& block() {
  thread_local const Lease mine;
  return mine.block();
}

inline std::string& failure() { return block().failure; }

inline void pause_until(const Barrier& barrier) {
  Block& b = block();
  Fiber& fiber = b.fibers[b.current];
  fiber.waits = &barrier;
  fiber.waits_since = barrier.generation;
  change(fiber.at, b.scheduler);
}

inline void arrive(Barrier& barrier, unsigned expected) {
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    ++barrier.generation;
  } else {
    pause_until(barrier);
  }
}

inline void wait_for_block() { arrive(block().barrier, block().live); }

// What the threads of a warp have given, until they exchange again.
template <typename T>
class Exchanged {
 public:
  explicit Exchanged(const Slots& slots) : slots_(slots) {}
  T operator[](unsigned lane) const {
    T value;
    std::memcpy(&value, slots_[lane].data(), sizeof value);
    return value;
  }

 private:
  const Slots& slots_;
};

template <typename T>
Exchanged<T> exchange(const T& value) {
  static_assert(sizeof(T) <= kSlotBytes, "wider than a slot");
  Block& b = block();
  const unsigned warp = b.current / kWarp;
  Slots& slots = b.slots[warp][b.fibers[b.current].exchanges++ % 2];  // nobody can be two exchanges ahead
  std::memcpy(slots[b.current % kWarp].data(), &value, sizeof value);
  arrive(b.warps[warp], kWarp);
  return Exchanged<T>(slots);
}

[[noreturn]] inline void enter() {
  Block& b = block();  // asked for once: another thread may have this block when the fiber goes on
  for (;;) {
    b.thread();
    Fiber& fiber = b.fibers[b.current];
    fiber.done = true;
    --b.live;
    if (b.live > 0 && b.barrier.arrived == b.live) {  // those who wait need not wait for one who has gone
      b.barrier.arrived = 0;
      ++b.barrier.generation;
    }
    change(fiber.at, b.scheduler);
  }
}

inline void resume(Block& b, unsigned index) {
  b.current = index;
  threadIdx.x = index;
  Fiber& fiber = b.fibers[index];
  fiber.waits = nullptr;
  if (!fiber.started) begin(fiber.at, &enter, b.stacks.get() + index * kStackBytes, kStackBytes);
  fiber.started = true;
  change(b.scheduler, fiber.at);
}

// False, with failure() set, if its threads wait for each other in vain.
inline bool run_block(unsigned threads, std::size_t shared_bytes, const std::function<void()>& thread) {
  Block& b = block();
  if (b.stacks == nullptr) b.stacks.reset(new char[kMostThreads * kStackBytes]);
  if (b.fibers.empty()) b.fibers.resize(kMostThreads);
  for (unsigned i = 0; i < threads; ++i) {
    b.fibers[i].done = false;
    b.fibers[i].waits = nullptr;
    b.fibers[i].exchanges = 0;
  }
  b.warps.assign(threads / kWarp, {});
  b.slots.resize(threads / kWarp);
  b.barrier = {};
  b.live = threads;
  b.thread = thread;
  std::memset(b.shared, 0xFF, shared_bytes);
  while (b.live > 0) {
    bool any = false;
    for (unsigned i = 0; i < threads; ++i) {
      const Fiber& fiber = b.fibers[i];
      if (fiber.done || (fiber.waits != nullptr && fiber.waits->generation == fiber.waits_since)) continue;
      resume(b, i);
      any = true;
    }
    if (!any) {
      b.failure = "threads of a block wait for each other in vain";
      b.fibers.clear();  // they never come back
      return false;
    }
  }
  return true;
}

}  // namespace emulated
