// What is wanted, and with what it may be reached, exactly as a file asks it (docs/keys/goal.md).
// A plan (plan.hpp) is what Ridge makes of it.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"
#include "ridge/scenario/reference.hpp"
#include "ridge/scenario/scenario.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::plan {

// A kind of chip that may be used.
struct Stock {
  scenario::ChipReference chip;
  std::optional<std::int64_t> gpus;  // at most; as many as all may be, where absent
  std::optional<std::string> kernel_model;
  std::vector<std::string> prefer_kernels;
  std::optional<UsdPerSecond> price;
};

// What the best deployment has most, or least, of.
enum class Objective : std::uint8_t {
  tokens_per_second_per_gpu,  // most
  usd_per_million_tokens,     // least
  tokens_per_second,          // most, of all that the GPUs allow
  gpus,                       // fewest for a rate
};

// What may be tried. Empty lists: whatever the strategies know.
struct Allowed {
  std::vector<std::string> strategies;
  std::vector<std::int64_t> gpus_per_instance;  // of AFD
  std::vector<std::int64_t> micro_batches;
  std::vector<std::int64_t> attention_tensor_parallel;
  std::vector<std::int64_t> context_parallel;   // of attention
  std::vector<std::int64_t> redundant_experts;  // of wide expert parallelism
  std::vector<std::int64_t> drafts;             // none where empty
  std::vector<decode::Dispatch> dispatches;     // of AFD
  std::vector<decode::Schedule> schedules;
  bool unlike_pools = true;  // another chip for attention than for the FFN
};

// What drafts there are and how often they are accepted.
struct Drafting {
  double acceptance = 0.0;
  std::vector<double> acceptance_by_position;
  std::optional<scenario::DraftModel> draft_model;
};

// Requests whose contexts differ, always as many: one that ends is replaced at once.
struct RenewedRequests {
  scenario::Lengths context;
  scenario::Lengths output;
};
using Workload = std::variant<RenewedRequests, scenario::Poisson, scenario::Trace>;

// What a plan takes for granted of software and wires.
struct Assumptions {
  scenario::Network network;
  scenario::ScaleUp scale_up;
  std::optional<Seconds> step_overhead;
  std::optional<scenario::AttentionPrecision> attention_precision;
  std::optional<Drafting> drafting;
  double memory_utilization = 0.9;
};

// Cached tokens of each request, where nothing says another.
inline constexpr double kUsualContext = 8192;

struct Goal {
  std::string title;
  std::vector<scenario::ModelReference> models;
  std::vector<Stock> chips;
  std::int64_t gpus = 64;  // of all kinds together, at most
  std::optional<UsdPerSecond> budget;
  // One of the two.
  std::optional<double> context;  // cached tokens of each request
  std::optional<Workload> workload;
  Seconds sla_tpot;
  std::optional<Seconds> sla_queueing;  // of requests that arrive
  double sla_percentile = 95;           // that the SLA is held to
  double confidence = 0.9;              // share of draws in which the SLA shall be met
  std::optional<double> rate;           // wanted of all GPUs together
  std::optional<Objective> objective;
  Allowed allowed;
  Assumptions assumptions;
  std::optional<scenario::RangesReference> ranges;  // its own, over those that ship
  std::uint64_t seed = 1;
};

[[nodiscard]] const KeyTable& keys_of(const Goal*);

// A goal and where it stands: paths count from its folder.
struct LocatedGoal {
  std::string file;
  std::string pointer;  // into the file
  Goal goal;
};

[[nodiscard]] const std::vector<std::string>& goal_names();
// The shipped goal of this name, or the file at this path. Throws UserError.
[[nodiscard]] LocatedGoal read_goal(const std::string& name_or_path);
// Its JSON, models, chips and ranges in place of their names and paths absolute, so that it may
// stand anywhere. Throws UserError.
[[nodiscard]] JsonDocument goal_document(const std::string& name_or_path);

// Where a file stands whose path counts from the folder of another.
[[nodiscard]] std::string from_folder_of(const std::string& file, const std::string& path);
// Whether its workload says how many requests come, and when.
[[nodiscard]] bool requests_arrive(const Goal& goal);
// What the goal leaves open, decided: its objective, and each chip's kernel model.
[[nodiscard]] Objective objective_of(const Goal& goal);
[[nodiscard]] std::string_view name_of(Objective objective);

}  // namespace ridge::plan
