// The best deployments for a goal.
//
// The rule. A structure is given the batch (requests in each group and micro-batch) with which it
// is worth most to the objective, of those whose TPOT is within the SLA and that fit in memory.
// That is mostly the largest of them, but TPOT need not grow with the batch, nor slower than it: a
// batch may be just too large for a kernel's tile. Layouts are ranked by their best structure, with
// kernel times as fitted. The best of them are then asked again under draws of the calibrations,
// the same for all: each is given the batch with which it is worth most, of those that are within
// the SLA as fitted and in the share of draws that the goal wants.
//
// The search leaves out only what cannot be among the best: the answer is that of trying all.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/base/ranks.hpp"
#include "ridge/base/statistics.hpp"
#include "ridge/plan/bounds.hpp"
#include "ridge/plan/judge.hpp"
#include "ridge/plan/structure.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::plan {

struct PlanOptions {
  unsigned threads = 1;
  int samples = 100;
  std::vector<std::string> fixed;  // names of inputs that draws leave as they are
  std::size_t layouts = 5;         // ranked
  bool each_strategy = true;       // the best of each strategy is told besides
  bool front = false;              // also the best at other speeds than the SLA's
  // Tries every structure with every batch.
  bool exhaustive = false;
  const std::atomic<bool>* stop = nullptr;
  // Who else judges structures and draws, one thread of each; null: nobody.
  Ranks* ranks = nullptr;
  // Told the share done, and what is being done.
  std::function<void(double share, const std::string& what)> progress;
};

// What the search did with the structures.
struct SearchCounts {
  std::size_t considered = 0;
  std::size_t possible = 0;
  std::size_t pruned_by_attention = 0;  // attention alone takes too long for them to be best
  std::size_t pruned_by_floor = 0;      // the busiest instance or the path does
  std::size_t judged = 0;               // structures
  std::size_t batches_simulated = 0;
  std::size_t batches_by_cycle = 0;
  std::size_t stage_times = 0;
  std::size_t draws = 0;  // of a batch, judged
  double seconds = 0;
};

// A structure with its batch.
struct Choice {
  Structure structure;
  std::int64_t requests = 0;       // in each group and micro-batch
  std::int64_t most_requests = 0;  // that fit in memory
  Verdict verdict;                 // as fitted
  double tokens_per_second = 0;    // of a replica, as fitted

  [[nodiscard]] double tokens_per_second_per_gpu() const;
};

struct Ranked {
  Choice choice;
  std::int64_t as_fitted = 0;          // its batch before draws asked for room
  std::int64_t replicas = 1;           // that the goal allows, or that its rate takes
  std::optional<UsdPerSecond> price;   // of a replica
  scenario::LocatedScenario scenario;  // of a replica
  answer::SimulationReport report;     // of that
  TimePerToken time;
  std::vector<Verdict> draws;
  double sla_share = 0;  // of the draws
  bool enough = true;    // as many as the goal wants
  bool more_would_hold =
      false;               // one request more in each group and micro-batch keeps the SLA, too
  double beats_next = -1;  // share of draws in which it beats the one after it; below 0: none
  std::string binds;       // what keeps it from delivering more

  // 90 % of the draws, of tokens per second and GPU.
  [[nodiscard]] std::optional<Interval> interval() const;
};

// What would make the second the first.
struct WhatIf {
  std::string of;               // "attention kernels"
  std::optional<double> share;  // they would have to take this share of their time, or cost
};

// Where nothing meets the SLA: what comes nearest, with a request in each group and micro-batch.
struct NearMiss {
  Structure structure;
  Seconds tpot;
};

// The best within another TPOT than the SLA's, with kernel times as fitted.
struct FrontPoint {
  Seconds within;
  Choice choice;
};

struct Plan {
  std::string title;
  std::shared_ptr<const Stocktaking> stock;
  int samples = 0;
  std::vector<scenario::DrawnInput> inputs;  // that the draws draw beside the calibrations
  std::vector<std::string> warnings;         // of the question; each report has those of its own
  std::vector<Ranked> ranking;
  std::vector<std::string> why;  // the first is first
  std::vector<WhatIf> what_ifs;
  std::vector<NearMiss> near_misses;
  std::vector<FrontPoint> front;  // the fastest first, each worth more than those before
  std::vector<Impossible> impossible;
  SearchCounts counts;
  bool partial = false;
};

// Throws UserError.
[[nodiscard]] Plan make_plan(LocatedGoal located, scenario::Library& library,
                             const PlanOptions& options);
// On the ranks beside 0, which makes the plan: what that gives out.
void help_plan(LocatedGoal located, scenario::Library& library, const PlanOptions& options);

// The best structure of each layout with its batch, best first: what make_plan() ranks before draws
// (the first `layouts`, and the best of each strategy).
// `limit`: the TPOT that they shall keep to.
[[nodiscard]] std::vector<Choice> search(const Stocktaking& stock, const Candidates& candidates,
                                         Bounds& bounds, Seconds limit, const PlanOptions& options,
                                         SearchCounts& counts, bool& partial);
// The `layouts` fastest layouts with a request in each group and micro-batch, fastest first.
[[nodiscard]] std::vector<NearMiss> nearest(const Stocktaking& stock, const Candidates& candidates,
                                            Bounds& bounds, const PlanOptions& options);

// More is better, whatever the goal counts.
[[nodiscard]] double value_of(const Stocktaking& stock, const Structure& structure,
                              double tokens_per_second);

}  // namespace ridge::plan
