// What is known of a chunk of points once they are asked, and the line of text that says it in a
// journal or on its way between processes.
#pragma once

#include "ridge/sweep/journal.hpp"
#include "ridge/sweep/sweep_scenario.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::sweep {

struct InvalidPoint {
  std::uint64_t point;
  std::string problem;
};

struct ChunkAnswer {
  std::vector<std::uint32_t> offsets;  // of the points that passed the filters, rising
  std::vector<double> values;          // offsets.size() x columns; NaN where unknown
  std::uint64_t invalid = 0;
  std::vector<InvalidPoint> first_invalid;
};

// Every digit of every number, and names in full: label numbers differ from run to run.
[[nodiscard]] std::string line_of(ChunkId id, const ChunkAnswer& answer,
                                  const SweepScenario& scenario, const LabelTable& labels);
[[nodiscard]] ChunkAnswer answer_of(std::string_view line, const SweepScenario& scenario,
                                    LabelTable& labels);

}  // namespace ridge::sweep
