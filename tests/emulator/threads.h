// Threads of a CUDA block as fibres of one CPU thread, for translated PTX. Barriers and shuffles are
// real: who reaches one waits for the others. A warp goes as far as it can before the next begins. A
// warp that waits at two kinds of barriers is an error.
#pragma once
#include <setjmp.h>
#include <ucontext.h>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

template <class T> static inline T least(T a, T b) { return b < a ? b : a; }
template <class T> static inline T largest(T a, T b) { return a < b ? b : a; }

namespace threads {

constexpr int WARP = 32, MOST = 1024, STACK = 65536, SHARED = 49152;
enum State { RUNS, AT_BLOCK_BARRIER, AT_WARP_BARRIER, ENDED };

struct Fibre {
  jmp_buf context;  // where it waits; jumps cost no system call, as swapcontext does
  bool begun;
  State state;
  uint32_t posted;
  char *stack;
};
typedef void (*Kernel)(const uint64_t *parameters);

static jmp_buf scheduler;
static Fibre fibres[MOST];
static Kernel body;
static const uint64_t *given;
static unsigned current, block_number, block_size, blocks;
static uint32_t posted[64][WARP];
static bool present[64][WARP];
alignas(16) static char shared[SHARED];

inline void wait(State at, uint32_t value = 0) {
  Fibre &self = fibres[current];
  self.state = at;
  self.posted = value;
  if (!_setjmp(self.context)) _longjmp(scheduler, 1);
}

inline uint32_t shuffle_down(uint32_t value, unsigned distance) {
  wait(AT_WARP_BARRIER, value);
  unsigned warp = current / WARP, other = current % WARP + distance;
  return other < WARP && present[warp][other] ? posted[warp][other] : value;
}

// A fibre serves one block after the other.
static void enter() {
  for (;;) {
    body(given);
    wait(ENDED);
  }
}

// Lets the current fibre go on until it waits or ends.
static void resume() {
  Fibre &fibre = fibres[current];
  if (_setjmp(scheduler)) return;
  if (fibre.begun) _longjmp(fibre.context, 1);
  fibre.begun = true;
  ucontext_t start;
  getcontext(&start);
  if (!fibre.stack) fibre.stack = (char *)malloc(STACK);
  start.uc_stack.ss_sp = fibre.stack;
  start.uc_stack.ss_size = STACK;
  start.uc_link = nullptr;
  makecontext(&start, enter, 0);
  setcontext(&start);
}

static void begin() {
  std::memset(shared, 0xFF, SHARED);  // NaN and -1: reading before writing shows
  for (unsigned i = 0; i < block_size; i++) fibres[i].state = RUNS;
}

// Lets a warp go on whose threads all wait at a warp barrier; -1 for a warp at two kinds of barriers.
static int release_warp(unsigned warp) {
  unsigned first = warp * WARP, end = least(first + WARP, block_size);
  int at_block = 0, at_warp = 0;
  for (unsigned i = first; i < end; i++) {
    at_block += fibres[i].state == AT_BLOCK_BARRIER;
    at_warp += fibres[i].state == AT_WARP_BARRIER;
  }
  if (at_block && at_warp) return -1;
  for (unsigned i = first; at_warp && i < end; i++) {
    bool here = present[warp][i - first] = fibres[i].state == AT_WARP_BARRIER;
    if (here) posted[warp][i - first] = fibres[i].posted, fibres[i].state = RUNS;
  }
  return at_warp;
}

// Runs a warp until all its threads wait for the block or have ended; 1 as above.
static int run_warp(unsigned warp, bool reverse) {
  unsigned first = warp * WARP, size = least(first + WARP, block_size) - first;
  for (int released = 1; released > 0;) {
    for (unsigned i = 0; i < size; i++) {
      current = first + (reverse ? size - 1 - i : i);
      if (fibres[current].state == RUNS) resume();
    }
    released = release_warp(warp);
    if (released < 0) return 1;
  }
  return 0;
}

static int run_block(bool reverse) {
  begin();
  unsigned warps = (block_size + WARP - 1) / WARP;
  for (bool waiting = true; waiting;) {
    for (unsigned i = 0; i < warps; i++)
      if (run_warp(reverse ? warps - 1 - i : i, reverse)) return 1;
    waiting = false;
    for (unsigned i = 0; i < block_size; i++) {
      if (fibres[i].state == ENDED) continue;
      waiting = true;
      fibres[i].state = RUNS;
    }
  }
  return 0;
}

// Runs a kernel block by block; 1 if threads of a warp waited at different barriers.
inline int launch(unsigned grid, unsigned block, bool reverse, Kernel kernel, const uint64_t *words) {
  body = kernel, given = words, blocks = grid, block_size = block;
  for (block_number = 0; block_number < grid; block_number++)
    if (run_block(reverse)) {
      for (unsigned i = 0; i < block; i++) fibres[i].begun = false;  // they stopped half-way
      return 1;
    }
  return 0;
}

}  // namespace threads

template <class To, class From> static inline To as(From bits) {
  To value;
  static_assert(sizeof(To) <= sizeof(From));
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class Register, class Value> static inline void put(Register &target, Value value) {
  target = 0;
  std::memcpy(&target, &value, least(sizeof target, sizeof value));
}

template <class T> static inline T load(const void *at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T> static inline void store(void *at, T value) { std::memcpy(at, &value, sizeof value); }

template <class T> static inline T added(void *at, T value) {
  T before = load<T>(at);
  store<T>(at, before + value);
  return before;
}

static inline uint32_t permuted(uint64_t bytes, uint32_t selector) {
  uint32_t out = 0;
  for (int i = 0; i < 4; i++) {
    uint32_t nibble = selector >> 4 * i & 15, byte = bytes >> 8 * (nibble & 7) & 255;
    if (nibble & 8) byte = byte & 128 ? 255 : 0;
    out |= byte << 8 * i;
  }
  return out;
}

static inline uint32_t inserted(uint32_t field, uint32_t into, uint32_t at, uint32_t length) {
  uint32_t mask = (length >= 32 ? ~0u : (1u << length) - 1) << at;
  return (into & ~mask) | ((field << at) & mask);
}
