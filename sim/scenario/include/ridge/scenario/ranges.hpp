// Inputs of a deployment that its description mostly leaves open, and what sources tell of each: a
// range, or measurements of several clusters. Intervals draw from these (input_draws.hpp).
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::scenario {

enum class RangedInput : std::uint8_t {
  expert_popularity,  // the exponent of their power law
  balancer_error,     // as of /noise/experts
  exchange_nics,      // the share of their bandwidth that exchanges reach
  step_overhead_us,   // between two steps, when the GPUs wait for the host
};

// A draw takes it evenly from here, in the unit of `of`.
struct InputRange {
  std::string name;
  RangedInput of = RangedInput::expert_popularity;
  std::string engine;                // whose it is; empty: of those that have none of their own
  std::vector<std::string> kernels;  // that tell of this engine, a star for any letters
  double low = 0.0;
  double high = 0.0;
  std::string source;
};

// Sums of tensor parallelism over several nodes, by a library, as they were measured on clusters of
// so many nodes.
struct SumsCluster {
  std::string fabric;
  std::string source;
  std::vector<decode::AllReduceWay> ways;
};
struct SumsSpan {
  std::int64_t nodes = 2;
  std::int64_t gpus_per_node = 8;
  std::vector<SumsCluster> clusters;
};
struct SumsOverNodes {
  std::vector<SumsSpan> spans;
  std::string source;

  // Null where none were measured over so many.
  [[nodiscard]] const SumsSpan* over(std::int64_t gpus, std::int64_t gpus_per_node) const;
};

// How far kernels differ between releases of an engine, of which one was measured and another runs.
struct Releases {
  double spread = 0.0;  // the standard deviation of the logarithm of their time
  std::string source;
};

// Of a file (docs/schema/ranges.schema.json).
struct Ranges {
  std::string title;
  std::vector<InputRange> inputs;
  Releases releases;
  SumsOverNodes sums_over_nodes;
};
[[nodiscard]] const KeyTable& keys_of(const Ranges*);
// Throws UserError.
[[nodiscard]] Ranges read_ranges(const std::string& name_or_path);

}  // namespace ridge::scenario
