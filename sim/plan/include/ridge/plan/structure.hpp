// A deployment but for its batch: who holds what, and how many micro-batches are in flight. What a
// goal allows, as a list of them.
#pragma once

#include "ridge/decode/simulation.hpp"
#include "ridge/plan/goal.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace ridge::plan {

struct Structure {
  std::size_t model = 0;  // of the goal's
  std::string strategy;
  // Where one pool does everything, it is the attention's.
  std::size_t attention_chip = 0;  // of the goal's
  std::size_t ffn_chip = 0;
  std::int64_t attention_instances = 1;
  std::int64_t ffn_instances = 0;
  std::int64_t gpus_per_instance = 8;
  std::int64_t attention_tensor_parallel = 1;
  std::int64_t context_parallel = 1;
  std::int64_t ffn_tensor_parallel = 1;
  std::int64_t ffn_expert_parallel = 1;
  std::int64_t redundant_experts = 0;
  std::int64_t drafts = 0;
  std::int64_t micro_batches = 1;
  decode::Dispatch dispatch = decode::Dispatch::broadcast;
  decode::Schedule schedule = decode::Schedule::fifo;
  decode::CollectiveTiming collectives = decode::CollectiveTiming::links;

  [[nodiscard]] bool split() const { return ffn_instances > 0; }
  [[nodiscard]] std::int64_t gpus() const {
    return (attention_instances + ffn_instances) * gpus_per_instance;
  }
  // Groups of GPUs that share requests.
  [[nodiscard]] std::int64_t groups() const {
    return attention_instances * gpus_per_instance / attention_tensor_parallel;
  }
  // Requests of a replica with as many in each group and micro-batch.
  [[nodiscard]] std::int64_t batch(std::int64_t requests) const {
    return requests * micro_batches * groups();
  }
  friend bool operator==(const Structure&, const Structure&) = default;
};

// Structures that nothing but the number of instances, GPUs and chips tells apart from each other:
// a ranking names the best of each.
struct Layout {
  std::size_t model = 0;
  std::string strategy;
  std::size_t attention_chip = 0;
  std::size_t ffn_chip = 0;
  std::int64_t attention_instances = 1;
  std::int64_t ffn_instances = 0;
  std::int64_t gpus_per_instance = 8;
  friend auto operator<=>(const Layout&, const Layout&) = default;
};
[[nodiscard]] Layout layout_of(const Structure& structure);

// What a token takes of a step, which gives a request one token and each draft that is accepted.
struct PerToken {
  double mean = 1.0;
  double at_percentile = 1.0;  // of the SLA
  friend bool operator==(const PerToken&, const PerToken&) = default;
};

// The files that a goal names, read, and what it leaves open, decided. May be asked from any
// thread.
class Stocktaking {
 public:
  // Throws UserError with all problems.
  Stocktaking(LocatedGoal located, scenario::Library& library);

  struct Chip {
    std::shared_ptr<const hw::ChipSpec> spec;
    std::string name;          // as the answer shows it
    std::string kernel_model;  // as a scenario names it
    std::string provenance;    // of its kernel times: theory, or a calibration with its error
    std::optional<UsdPerSecond> price;
    bool calibrated = false;
  };
  [[nodiscard]] const Goal& goal() const { return located_.goal; }
  [[nodiscard]] const std::vector<Chip>& chips() const { return chips_; }
  [[nodiscard]] const std::vector<std::shared_ptr<const models::ModelSpec>>& models() const {
    return models_;
  }
  [[nodiscard]] bool calibrated() const;  // whether any kernel times may be drawn again
  // What draws draw from: those that ship, and the goal's own over them.
  [[nodiscard]] const std::shared_ptr<const scenario::Ranges>& ranges() const { return ranges_; }

  // Of the requests in decode, on average: what the search takes them all to have.
  [[nodiscard]] double context() const { return context_; }
  // Wanted of all GPUs together, or what requests that arrive ask for.
  [[nodiscard]] std::optional<double> rate() const { return rate_; }
  [[nodiscard]] PerToken per_token(const Structure& structure) const;
  // What no TPOT at the SLA's percentile is below where no step takes less.
  [[nodiscard]] Seconds tpot_floor(const Structure& structure, Seconds step) const;
  // Of the requests that the goal asks for, the scenario of so many replicas with at most as many
  // requests in each group and micro-batch.
  [[nodiscard]] scenario::LocatedScenario served_scenario(const Structure& structure,
                                                          std::int64_t requests,
                                                          std::int64_t replicas) const;

  // The scenario of one replica with as many requests in each group and micro-batch.
  [[nodiscard]] scenario::LocatedScenario scenario_of(const Structure& structure,
                                                      std::int64_t requests) const;
  // What resolving that gives, but faster.
  [[nodiscard]] decode::SimulationInput input_of(const Structure& structure,
                                                 std::int64_t requests) const;

  // Of a replica; nothing where a chip has no price.
  [[nodiscard]] std::optional<UsdPerSecond> price_of(const Structure& structure) const;
  // Replicas that the goal's GPUs and budget allow.
  [[nodiscard]] std::int64_t replicas_of(const Structure& structure) const;

 private:
  // Model, strategy, chips, and whether one group spans nodes.
  using Template = std::tuple<std::size_t, std::string, std::size_t, std::size_t, bool>;
  [[nodiscard]] bool sums_over_nodes(const Structure& structure) const;
  [[nodiscard]] Template template_of(const Structure& structure) const;
  void take_workload(scenario::Library& library, Diagnostics& diagnostics);
  void take_models(scenario::Library& library, Diagnostics& diagnostics);
  void take_chips(scenario::Library& library, Diagnostics& diagnostics);
  void take_kernels(scenario::Library& library, Diagnostics& diagnostics);
  void check_objective(Diagnostics& diagnostics) const;
  // Once for each way to fill pools; the rest of a structure is set on a copy.
  void resolve_templates(bool drafts, scenario::Library& library, Diagnostics& diagnostics);
  // What reading throws is a mistake at this pointer of the goal.
  template <typename Read>
  void tried(const std::string& pointer, Diagnostics& diagnostics, Read&& read) const;

  LocatedGoal located_;
  double context_ = kUsualContext;
  double output_ = 0;  // of a workload's requests, on average
  std::optional<double> rate_;
  Seconds recorded_;  // from the first request of a trace to the last
  std::vector<std::shared_ptr<const models::ModelSpec>> models_;
  std::vector<Chip> chips_;
  std::shared_ptr<const scenario::Ranges> ranges_;
  std::map<Template, decode::SimulationInput> templates_;
};

// Why structures are impossible: in words, of the first; how many share the reason.
struct Impossible {
  std::string strategy;
  std::string reason;
  std::size_t structures = 0;
};

struct Candidates {
  struct One {
    Structure structure;
    std::int64_t most_requests = 0;  // in a group and micro-batch, that fit in memory
  };
  std::vector<One> all;
  std::vector<Impossible> impossible;
  std::size_t considered = 0;
};
// Every structure that the goal allows and its strategies can run, in a fixed order.
[[nodiscard]] Candidates candidates(const Stocktaking& stock);

// "AFD 4A2F" and the like.
[[nodiscard]] std::string title_of(const Structure& structure);
// How it is split, in words.
[[nodiscard]] std::string words_of(const Structure& structure);

}  // namespace ridge::plan
