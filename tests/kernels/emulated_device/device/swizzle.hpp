#pragma once

#include <cstdint>

namespace ridge::emulated {

inline constexpr std::uint32_t kSwizzleSpan = 128;

/// "128B swizzling mode" of PTX ISA 8.7: within each 1024-byte block of the shared window, 16-byte
/// piece p of 128-byte line l lies at piece p XOR l.
constexpr std::uint32_t swizzled(std::uint32_t address) {
  const std::uint32_t line = address / kSwizzleSpan % 8;
  const std::uint32_t piece = address / 16 % 8;
  return address - piece * 16 + (piece ^ line) * 16;
}

}  // namespace ridge::emulated
