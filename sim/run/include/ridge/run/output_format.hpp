#pragma once

#include <cstdint>

namespace ridge::run {

// How an answer is written.
enum class OutputFormat : std::uint8_t { table, csv, json };

}  // namespace ridge::run
