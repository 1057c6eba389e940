// Inputs of a deployment that its description mostly leaves open, and what sources tell of each: a
// range, or measurements of several clusters. Intervals draw from these (input_draws.hpp). Ranges
// ship; a question may have its own, which go over them.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {
class JsonDocument;
class KeyTable;
}  // namespace ridge

namespace ridge::scenario {

enum class RangedInput : std::uint8_t {
  expert_popularity,    // the exponent of their power law
  balancer_error,       // as of /noise/experts
  exchange_nics,        // the share of their bandwidth that exchanges reach
  step_overhead_us,     // between two steps, when the GPUs wait for the host
  host_stagger_us,      // as of /deployment/execution
  message_overhead_us,  // of the links that messages between pools take
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
  std::uint64_t stream = 0;  // of random numbers: its place where it ships, else told by its name
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
};

// How far kernels differ between releases of an engine, of which one was measured and another runs.
struct Releases {
  double spread = 0.0;  // the standard deviation of the logarithm of their time
  std::string source;
};

// Of a file (docs/schema/ranges.schema.json), or as they stand in a question.
struct Ranges {
  std::string title;
  std::vector<InputRange> inputs;  // of two that tell of one engine's kernels, the first answers
  std::optional<Releases> releases;
  std::optional<SumsOverNodes> sums_over_nodes;

  // Null where no sums were measured over so many.
  [[nodiscard]] const SumsSpan* sums_over(std::int64_t gpus, std::int64_t gpus_per_node) const;
};
[[nodiscard]] const KeyTable& keys_of(const Ranges*);
// The file of this name, or at this path, and what it says alone. Throw UserError.
[[nodiscard]] JsonDocument ranges_document(const std::string& name_or_path);
[[nodiscard]] Ranges read_ranges(const JsonDocument& document);

// What else is drawn, under names that no range may have.
inline constexpr std::string_view kClusters = "cluster of sums over nodes";
inline constexpr std::string_view kReleases = "release of the engine";
inline constexpr std::string_view kInputs = "inputs";  // all of them

// `own` over `shipped`. A range takes the place of the one of its name, with its kernels where it
// names none, and is new where there is none; so do sums over as many nodes, and releases.
// `complain` is told, by a pointer into `own`, of what is wrong with it, alone or beside what
// ships.
[[nodiscard]] Ranges over(
    const Ranges& own, const Ranges& shipped,
    const std::function<void(const std::string& pointer, const std::string& message)>& complain);

}  // namespace ridge::scenario
