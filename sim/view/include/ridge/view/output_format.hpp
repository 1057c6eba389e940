#pragma once

#include <cstdint>
#include <string>

namespace ridge::view {

// How an answer is written.
enum class OutputFormat : std::uint8_t { table, csv, json };

// An answer by the one of its writers that the format names.
template <typename Answer>
[[nodiscard]] std::string written(OutputFormat format, const Answer& answer,
                                  std::string (*table)(const Answer&),
                                  std::string (*csv)(const Answer&),
                                  std::string (*json)(const Answer&)) {
  switch (format) {
    case OutputFormat::csv:
      return csv(answer);
    case OutputFormat::json:
      return json(answer);
    case OutputFormat::table:
      break;
  }
  return table(answer);
}

}  // namespace ridge::view
