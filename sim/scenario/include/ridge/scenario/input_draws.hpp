// What an interval draws: other parameters of the calibrations and, from ranges that sources tell,
// the inputs that the scenario leaves open.
#pragma once

#include "ridge/scenario/ranges.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::scenario {

// The inputs that a scenario leaves open, of those that have ranges.
struct OpenInputs {
  bool experts = false;        // how popular they are
  bool balancer = false;       // how well one knows that, where one is at work
  bool exchange_nics = false;  // what they reach
  bool step_overhead = false;
  bool host_stagger = false;
  bool message_overhead = false;
  std::string engine;  // whose step overhead; empty: as the kernels that pools prefer tell
  // Sums over nodes may take what they take on any of these, after a gap; none where they are told.
  std::vector<SumsCluster> clusters;
  Seconds gap_before_sums;
};
// What its intervals draw from: the ranges that ship, and its own over them. Throws UserError.
[[nodiscard]] std::shared_ptr<const Ranges> ranges_of(const LocatedScenario& located,
                                                      Library& library);
// Of a scenario that can be resolved: what it does not state, and what acts in it.
[[nodiscard]] OpenInputs open_inputs(const LocatedScenario& located, Library& library);

// What sums take on the median of these clusters, of which there is at least one, at each power of
// two from 64 B to 32 MiB, or to the largest that was measured on any where that is more: of two in
// the middle, their mean.
[[nodiscard]] SumsCluster median_of(const std::vector<SumsCluster>& clusters);
// Sums of a cluster, each with a gap in front.
[[nodiscard]] std::vector<decode::AllReduceWay> sums_of(const SumsCluster& cluster, Seconds gap);

struct DrawnInput {
  std::string what;
  std::string from;
  std::string source;
  bool one_sided = false;  // the scenario itself takes it at an end of that, or outside
};

class InputDraws {
 public:
  // `fixed`: names of what stays as it is, or kInputs for all but the calibrations. Throws
  // UserError where neither these ranges nor `others` (the names of what is drawn for questions
  // asked beside this one) have such a name.
  explicit InputDraws(std::shared_ptr<const Ranges> ranges,
                      const std::vector<std::string>& fixed = {},
                      const std::vector<std::string>& others = {});
  // All that may be fixed.
  [[nodiscard]] static std::vector<std::string> names(const Ranges& ranges);

  // The same without what is fixed.
  [[nodiscard]] InputDraws with_nothing_fixed() const { return InputDraws(ranges_); }

  // Of the draws 1, 2, ... Each input has random numbers of its own: what one draws depends neither
  // on the others nor on what is fixed.
  [[nodiscard]] CalibrationDraw calibrations(std::uint64_t seed) const;
  [[nodiscard]] Scenario drawn(const LocatedScenario& located, const OpenInputs& open,
                               Library& library, std::uint64_t seed) const;
  // Where it is open and drawn; by the kernels that a deployment prefers.
  [[nodiscard]] std::optional<Seconds> step_overhead(const std::string& engine,
                                                     const std::vector<std::string>& kernels,
                                                     std::uint64_t seed) const;

  // What is drawn beside the calibrations: at all, and of a scenario.
  [[nodiscard]] std::vector<DrawnInput> inputs() const;
  [[nodiscard]] std::vector<DrawnInput> inputs(const LocatedScenario& located,
                                               const OpenInputs& open, Library& library) const;
  [[nodiscard]] std::optional<DrawnInput> drawn_step_overhead(
      const std::string& engine, const std::vector<std::string>& kernels) const;
  [[nodiscard]] std::optional<DrawnInput> drawn_releases() const;

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  // Of the ranges, the one that is drawn for this; kNone where none is.
  [[nodiscard]] std::size_t range_of(RangedInput input) const;
  [[nodiscard]] std::size_t step_overhead_range(const std::string& engine,
                                                const std::vector<std::string>& kernels) const;
  [[nodiscard]] double value(std::size_t range, std::uint64_t seed) const;
  // `own`: what the scenario takes itself.
  [[nodiscard]] DrawnInput told(std::size_t range, std::optional<double> own = {}) const;
  [[nodiscard]] DrawnInput told_clusters() const;

  std::shared_ptr<const Ranges> ranges_;
  std::vector<bool> drawn_;  // of the ranges
  bool clusters_ = true;
  bool releases_ = true;
};

// What to say of each fixed name that has no effect: of what is `drawn` where nothing is fixed it
// is none, and why.
[[nodiscard]] std::vector<std::string> fixed_in_vain(const std::vector<std::string>& fixed,
                                                     const std::vector<DrawnInput>& drawn,
                                                     std::string_view why);

// Why a prediction lies to one side of what is drawn: a sentence, of the inputs that it takes at an
// end of their ranges or outside.
[[nodiscard]] std::string one_sided_words(const std::vector<std::string>& inputs);

// "popularity of experts (exponent 0.19 to 0.76), release of the engine (...)".
[[nodiscard]] std::string words_of(const std::vector<DrawnInput>& inputs);

}  // namespace ridge::scenario
