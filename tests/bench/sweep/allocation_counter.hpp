// Counts what operator new was asked for in this program, on all threads.
#pragma once

#include <cstdint>

namespace ridge::bench {

[[nodiscard]] std::uint64_t allocations();

}  // namespace ridge::bench
