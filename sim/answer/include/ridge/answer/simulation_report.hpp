// What a simulated deployment delivers, and why.
#pragma once

#include "ridge/base/statistics.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/view/output_format.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::answer {

// How far predictions spread when calibrations and seeds are drawn again: 90 % intervals.
struct Uncertainty {
  int samples = 0;
  Interval tpot_seconds;  // of the mean
  Interval tokens_per_second_per_gpu;
};

struct SimulationReport {
  std::string name;
  std::string title;
  std::string provenance;       // of the kernel times: "theory", or a calibration with its error
  std::string link_provenance;  // of the messages' overheads and efficiencies, as the scenario says
  std::vector<std::string> pool_titles;
  std::vector<std::int64_t> pool_gpus;
  std::int64_t gpus = 0;
  std::int64_t micro_batches = 0;
  std::optional<Seconds> sla_tpot;
  std::optional<UsdPerSecond> price;
  decode::MemoryPlan memory;
  decode::SimulationResult result;
  // The same deployment with roofline kernels and ideal links, never waiting: closed loop only.
  std::optional<Seconds> theoretical_floor;
  std::optional<Uncertainty> uncertainty;
  double wall_seconds = 0.0;
  std::vector<std::string> warnings;

  [[nodiscard]] double tokens_per_second() const;
  [[nodiscard]] double tokens_per_second_per_gpu() const;
  [[nodiscard]] double tokens_per_second_per_user() const;
  [[nodiscard]] std::optional<double> usd_per_million_tokens() const;
};

// Of a deployment's kernel times: "theory", or a calibration with its error, each once.
[[nodiscard]] std::string kernel_provenance(const decode::Deployment& deployment);

struct RunOptions {
  std::optional<std::uint64_t> seed;
  const std::atomic<bool>* stop = nullptr;
  std::function<void(double share_done)> progress;
  std::string trace_path;    // writes a Chrome trace of the measurement there, unless empty
  std::string picture_path;  // draws a few layers of it there as SVG, unless empty
};

// Throws UserError.
[[nodiscard]] SimulationReport simulate(scenario::SimulationScenario scenario,
                                        const RunOptions& options = {});

// Runs the scenario `samples` times more, each with calibrations drawn again and a seed of its own.
[[nodiscard]] Uncertainty uncertainty_of(const scenario::LocatedScenario& located,
                                         scenario::Library& library, int samples,
                                         const std::atomic<bool>* stop = nullptr);

[[nodiscard]] std::string render(const SimulationReport& report, view::OutputFormat format);
// Two deployments side by side, the second in terms of the first.
[[nodiscard]] std::string render_comparison(const SimulationReport& report,
                                            const SimulationReport& other,
                                            view::OutputFormat format);

}  // namespace ridge::answer
