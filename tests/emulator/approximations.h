// The approximate instructions of a GPU: the rounded exact value, and as much of the error that PTX
// allows (ISA 9.1, 9.7.3) as is asked for, so that no test rests on better functions than there are.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace approximations {

static double errors = 0;  // of what is allowed; beyond 1 a share in -1 ... 1 of its own for each call

static inline double share(float argument) {
  if (std::abs(errors) <= 1) return errors;
  static uint64_t calls = 0;
  uint32_t bits;
  std::memcpy(&bits, &argument, sizeof bits);
  uint64_t mixed = (bits + ++calls * 0x9E3779B97F4A7C15u) * 0xD1342543DE82EF95u;
  mixed = (mixed ^ mixed >> 32) * 0xD1342543DE82EF95u;
  return (double)(int64_t)mixed * 0x1p-63;
}

static inline float flushed(double value) {
  float rounded = (float)value;
  return std::abs(rounded) < 0x1p-126f ? std::copysign(0.0f, rounded) : rounded;
}

static inline float lg2(float x) {
  double exact = std::log2((double)flushed(x));
  double scale = x > 0.5f && x < 2.0f ? 1 : std::abs(exact);
  return flushed(exact + share(x) * scale * 0x1p-22);
}

static inline float sqrt(float x) {
  return flushed(std::sqrt((double)flushed(x)) * (1 + share(x) * 0x1p-23));
}

static inline float sin(float x) {
  return flushed(std::sin((double)flushed(x)) + share(x) * std::exp2(-20.5));
}

static inline float cos(float x) {
  return flushed(std::cos((double)flushed(x)) + share(x) * std::exp2(-20.5));
}

}  // namespace approximations

extern "C" void set_errors(double share) { approximations::errors = share; }
