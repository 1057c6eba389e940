// The integer wide enough for time, priority and sequence in one comparison.
#pragma once

namespace ridge::des {

// GCC and Clang have 128-bit integers on every 64-bit target; __extension__ says that we know
// the standard does not.
__extension__ typedef __int128 Int128;

constexpr Int128 kTwoTo64 = static_cast<Int128>(1) << 64;
constexpr Int128 kLargestInt128 = (kTwoTo64 / 2 - 1) * kTwoTo64 + (kTwoTo64 - 1);

}  // namespace ridge::des
