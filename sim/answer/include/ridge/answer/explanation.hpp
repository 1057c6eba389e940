// Why a deployment takes as long as it does: what each stage of a step launches, and how long a
// token would take were something a little faster.
#pragma once

#include "ridge/answer/simulation_report.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

// A kernel that a stage launches, mean over the layers of a kind.
struct LaunchedKernel {
  std::string name;    // of the operator
  std::string kernel;  // that it was measured as; empty where there is none
  Seconds time;
  hw::Resource bound = hw::Resource::none;
  double error = 0;                      // relative standard error, of the worst layer; 0 of theory
  double octaves_outside = 0;            // of what the kernel was fitted on, likewise
  std::optional<double> held_out_error;  // of the kernel: the median on shapes left out
};

// What a step of one micro-batch does in a stage for the layers of one kind, where it takes longest
// of all instances, at the mean batch of the run.
struct StagePart {
  decode::Stage stage = decode::Stage::attention;
  std::size_t pool = 0;     // where it runs; of a message, which it leaves
  std::string of;           // the model's block, or what moves
  std::int64_t layers = 0;  // that have it
  Seconds time;             // in each, mean
  std::vector<LaunchedKernel> kernels;
};

// The simulation again with one thing `kFaster` times as fast.
struct WhatIf {
  std::string what;
  bool one_operator = false;
  Seconds tpot;
  double change = 0;  // of the mean TPOT: -0.05 for 5 % less
  // Where another stage becomes what most of a step goes to: from how many times as fast on, and
  // which. Not looked for of operators, nor where requests arrive.
  std::optional<double> moves_at;
  decode::Stage moves_to = decode::Stage::attention;
};
inline constexpr double kFaster = 1.1;
// How far is looked for what moves the bottleneck.
inline constexpr double kMostTimesFaster = 4.0;

struct Explanation {
  SimulationReport report;
  decode::Stage bottleneck = decode::Stage::attention;
  double bottleneck_share = 0;  // of the critical path
  std::vector<StagePart> parts;
  std::vector<WhatIf> what_ifs;  // what helps most first
};

// The stage that most of the critical path goes to, being served or queueing for it.
[[nodiscard]] decode::Stage bottleneck_of(const decode::SimulationResult& result);

// Throws UserError, also where it was stopped.
[[nodiscard]] Explanation explain(const scenario::SimulationScenario& scenario,
                                  const RunOptions& options = {});
// The same of a scenario as it was read: what only its run finds is told where it stands.
[[nodiscard]] Explanation explain(const scenario::LocatedScenario& located,
                                  scenario::Library& library, const RunOptions& options = {});

[[nodiscard]] std::string render(const Explanation& explanation, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& explain_answer();

}  // namespace ridge::answer
