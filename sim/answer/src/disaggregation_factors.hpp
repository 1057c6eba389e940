// Why attention and FFN on GPUs of their own deliver more per GPU than both on all, or less.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/view/answer_keys.hpp"

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace ridge::answer {

// Of a deployment that splits them over one that does not. The tokens/s of a GPU are its requests
// over the time between two tokens of each, so that the three factors multiply to `throughput`.
struct DisaggregationFactors {
  const SimulationReport* split = nullptr;
  const SimulationReport* whole = nullptr;
  double batch = 0.0;       // requests on each GPU that holds requests
  double holding = 0.0;     // share of the GPUs that hold any: the rest is what the FFN takes
  double latency = 0.0;     // the whole one's time between tokens over the split one's
  double throughput = 0.0;  // tokens/s per GPU
  // Requests on each GPU that holds experts: what makes their products worth their weights.
  double experts_batch = 0.0;

  // The batch at which both deliver as much, if the times between tokens stay.
  [[nodiscard]] double break_even_batch() const { return 1.0 / (holding * latency); }
};

// Nothing unless one of the two is split and the other is not, and both delivered.
[[nodiscard]] std::optional<DisaggregationFactors> disaggregation_factors(
    const SimulationReport& a, const SimulationReport& b);

[[nodiscard]] std::string table_of(const DisaggregationFactors& factors);
[[nodiscard]] const view::AnswerKeys<DisaggregationFactors>& answer_keys(
    const DisaggregationFactors*);

}  // namespace ridge::answer
