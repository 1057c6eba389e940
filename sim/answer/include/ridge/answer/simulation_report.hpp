// What a simulated deployment delivers, and why.
#pragma once

#include "ridge/base/statistics.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/scenario/input_draws.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/view/output_format.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

// How far predictions spread when calibrations, inputs that the scenario leaves open and seeds are
// drawn again.
struct Uncertainty {
  int samples = 0;
  int within_sla = 0;  // of the samples, where there is an SLA
  std::vector<scenario::DrawnInput> inputs;
  // 90 % intervals of every figure that is a number, by name, in base units.
  std::map<std::string, Interval, std::less<>> intervals;

  // In the figure's unit; nothing without samples.
  [[nodiscard]] std::optional<Interval> interval(std::string_view figure) const;
};

struct SimulationReport {
  std::string name;
  std::string title;
  std::string provenance;       // of the kernel times: "theory", or a calibration with its error
  std::string link_provenance;  // of the messages' overheads and efficiencies, as the scenario says
  std::vector<std::string> pool_titles;
  std::vector<std::int64_t> pool_gpus;
  std::size_t attention_pool = 0;  // the numbers of the pools that hold these
  std::size_t ffn_pool = 0;
  std::int64_t gpus = 0;
  std::int64_t micro_batches = 0;
  scenario::Sla sla;
  std::optional<UsdPerSecond> price;
  decode::MemoryPlan memory;
  decode::SimulationResult result;
  // The same deployment with roofline kernels and ideal links, never waiting: closed loop only.
  std::optional<Seconds> theoretical_floor;
  // Whether some kernel times are calibrated, so that they may be drawn again: a roofline bounds,
  // and has no interval.
  bool calibrated = false;
  std::optional<Uncertainty> uncertainty;
  double wall_seconds = 0.0;
  std::string picture;  // SVG, where one was asked for
  std::vector<std::string> warnings;
  // Operators that were asked about beyond what their calibration was measured on; each has a
  // warning of its own.
  struct OutOfRange {
    std::size_t operators = 0;
    std::size_t outside = 0;
    double worst_error = 0.0;
  } out_of_range;

  [[nodiscard]] double tokens_per_second() const;
  [[nodiscard]] double tokens_per_second_per_gpu() const;
  [[nodiscard]] double tokens_per_second_per_user() const;
  [[nodiscard]] std::optional<double> usd_per_million_tokens() const;
  // Of arrivals.
  [[nodiscard]] std::optional<double> offered_tokens_per_second_per_gpu() const;
  [[nodiscard]] bool overloaded() const { return result.load && !result.load->stable; }
  // Whether the prediction lies among the draws of its interval, where there is one.
  [[nodiscard]] bool lies_in_interval() const;
  // All that is asked for, at the 95th percentile; never where more arrives than is served.
  [[nodiscard]] std::optional<bool> meets_sla() const;
};

// An operator of one layer at the mean batch of the run, as one GPU of its pool runs it.
struct OperatorTime {
  decode::Role role = decode::Role::attention;
  std::size_t pool = 0;
  std::size_t block = 0;  // of the model's attention or FFN blocks
  std::int64_t layers = 0;
  std::string name;
  models::Part part = models::Part::attention;
  models::Purpose purpose = models::Purpose::none;
  std::string kernel;  // that it was measured as; empty where there is none
  hw::Timing timing;
};
[[nodiscard]] std::vector<OperatorTime> operator_times(const decode::SimulationInput& input,
                                                       const decode::SimulationResult& result);

// The cached tokens of a request in a step of the run; where it had none, those that one brings.
[[nodiscard]] double context_of_steps(const decode::SimulationInput& input,
                                      const decode::SimulationResult& result);

// In the warning of each operator that is outside its range, as hw::range_warnings() words it.
inline constexpr std::string_view kOutOfRange = ": outside what the calibration was measured on";

// Of a deployment's kernel times: "theory", or a calibration with its error; by pool where they
// differ.
[[nodiscard]] std::string kernel_provenance(const decode::Deployment& deployment);

struct RunOptions {
  std::optional<std::uint64_t> seed;
  const std::atomic<bool>* stop = nullptr;
  std::function<void(double share_done)> progress;
  std::string trace_path;  // writes a Chrome trace of the measurement there, unless empty
  bool picture = false;    // also draws a few layers of it
  bool requests = false;   // also record every request, where requests arrive
  bool floor = true;       // also find the theoretical floor, which takes a run of its own
};

// Throws UserError.
[[nodiscard]] SimulationReport simulate(scenario::SimulationScenario scenario,
                                        const RunOptions& options = {});

// Runs the scenario `samples` times more, each with calibrations and open inputs drawn again and a
// seed of its own; not at all where there is no calibration to draw. `open`: in place of what the
// scenario leaves open.
[[nodiscard]] Uncertainty uncertainty_of(const scenario::LocatedScenario& located,
                                         scenario::Library& library,
                                         const scenario::InputDraws& draws, int samples,
                                         const std::atomic<bool>* stop = nullptr,
                                         const scenario::OpenInputs* open = nullptr);

// A figure of these runs, in its unit: one value each, fewer where a run has none.
[[nodiscard]] std::vector<double> drawn_figure(const scenario::LocatedScenario& located,
                                               scenario::Library& library,
                                               const scenario::InputDraws& draws, int samples,
                                               std::string_view figure,
                                               const scenario::OpenInputs* open = nullptr);

// The answer to a scenario: simulated, with the 90 % intervals of `samples` further runs. Unless
// told how many, 20 in closed loop, whose runs take milliseconds, and none otherwise. `fixed`:
// names of inputs that they leave as they are; `others`: what may be named there besides
// (scenario::InputDraws).
[[nodiscard]] SimulationReport answer(const scenario::LocatedScenario& located,
                                      scenario::Library& library, const RunOptions& options = {},
                                      std::optional<int> samples = {},
                                      const std::vector<std::string>& fixed = {},
                                      const std::vector<std::string>& others = {});

// What kernel times rest on, and links where the scenario says what of them is asked: the head of a
// table, with an empty line behind it.
[[nodiscard]] std::string provenance_words(const SimulationReport& report);

// A line for every request that arrived, warm-up included: when it came, was admitted, got its
// first and its last token, and how many it got. check_ throws UserError for a closed loop, whose
// requests are always there; `option` asked for them.
void check_requests(const scenario::LocatedScenario& located, std::string_view option);
[[nodiscard]] std::string requests_csv(const SimulationReport& report);

[[nodiscard]] std::string render(const SimulationReport& report, view::OutputFormat format);
// Two deployments side by side, the second in terms of the first.
[[nodiscard]] std::string render_comparison(const SimulationReport& report,
                                            const SimulationReport& other,
                                            view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& simulation_answer();
[[nodiscard]] const view::AnswerDescription& comparison_answer();

}  // namespace ridge::answer
