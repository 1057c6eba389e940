#pragma once

#include <cstdint>

namespace ridge::view {

// How an answer is written.
enum class OutputFormat : std::uint8_t { table, csv, json };

}  // namespace ridge::view
