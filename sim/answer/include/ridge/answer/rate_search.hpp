// The largest rate of arrivals at which a deployment holds its SLA.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

struct RateTry {
  double rate = 0.0;  // requests per second
  SimulationReport report;
  [[nodiscard]] bool holds() const { return report.meets_sla().value_or(false); }
};

struct RateSearch {
  std::string title;           // of the scenario
  std::vector<RateTry> tries;  // by rate
  // The largest that held, and the smallest above it that did not: indices into `tries`. Without
  // either, no rate that was tried was on that side.
  std::optional<std::size_t> largest_held;
  std::optional<std::size_t> smallest_missed;
};

// Doubles or halves the scenario's rate until the verdict turns, then halves the ratio between the
// two until it is below 2 %. That a rate which holds has only such below it is taken for granted;
// the seed is the same throughout. Throws UserError for a scenario without arrivals or
// without an SLA.
[[nodiscard]] RateSearch largest_rate(const scenario::LocatedScenario& located,
                                      scenario::Library& library,
                                      std::optional<std::uint64_t> seed = {},
                                      const std::atomic<bool>* stop = nullptr);

[[nodiscard]] std::string render(const RateSearch& search, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& rate_answer();

}  // namespace ridge::answer
