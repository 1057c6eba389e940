#include "ridge/plan/structure.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/scenario/requests.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

#include <fmt/format.h>

namespace ridge::plan {
namespace {

constexpr const char* kAfd = "afd";
constexpr const char* kWideExpertParallel = "wide_expert_parallel";
constexpr const char* kTensorParallel = "tensor_parallel";
constexpr std::int64_t kUsualMicroBatches = 6;
constexpr std::int64_t kUsualMicroBatchesOfOnePool = 2;  // two-batch overlap
// Measured: as many as show a steady pipeline, and as many as drafts that are drawn take to average
// out.
constexpr std::int64_t kSteps = 6;
constexpr std::int64_t kStepsOfDrafts = 200;

// The calibration of the chip's own name, else the one whose transfer errs least.
std::string kernel_model_for(const hw::ChipSpec& chip, scenario::Library& library) {
  namespace calibrated = hw::calibrated;
  std::string best = "theoretical";
  double error = std::numeric_limits<double>::infinity();
  for (const std::string& name : calibrated::calibration_names()) {
    const auto calibration = library.calibration(name);
    if (calibration->chip == chip.name) return "calibrated:" + name;
    const auto from = library.chip(calibration->chip);
    if (from->generation.empty() || from->generation != chip.generation) continue;
    const double transfer =
        calibrated::transfer_error(calibrated::Family::gemm, calibrated::Format::bf16, *from, chip);
    if (transfer >= error) continue;
    error = transfer;
    best = "calibrated:" + name;
  }
  return best;
}

// A reference of the goal's file, for a scenario that may stand anywhere.
template <typename Spec>
scenario::Reference<Spec> settled(const std::string& file,
                                  const scenario::Reference<Spec>& reference) {
  if (reference.spec) return reference;
  auto out = reference;
  const std::string from = scenario::reference_from(file, reference.name);
  if (from != reference.name || from.find('/') != std::string::npos) {
    out.name = std::filesystem::absolute(from).string();
  }
  return out;
}

std::vector<std::int64_t> powers_of_two_to(std::int64_t most) {
  std::vector<std::int64_t> out;
  for (std::int64_t n = 1; n <= most; n *= 2) out.push_back(n);
  return out;
}

// Of what is assumed of links, a scenario refuses what it has no use for.
void drop_what_has_no_effect(const Structure& s, bool sums_over_nodes,
                             scenario::Scenario& scenario) {
  scenario::Network& network = scenario.network;
  if (!s.split()) network.path = decode::MessagePath::nics;
  const bool over_scale_up = network.path == decode::MessagePath::scale_up;
  if (over_scale_up) {
    network.wire.overhead.reset();
    network.wire.efficiency.reset();
    network.fabric.reset();
  }
  if (s.collectives == decode::CollectiveTiming::kernel_model) {
    scenario.scale_up.in_switch_reduction = false;
    if (!over_scale_up) {
      scenario.scale_up = {};
      scenario.scale_up.wire.source = "none asked: the kernel times tell what collectives take";
    }
    if (!s.split()) {
      network = {};
      network.wire.source = scenario.scale_up.wire.source;
    }
  }
  if (s.strategy != kWideExpertParallel) {
    network.copies = decode::Copies::per_expert;
    network.nodes_per_token.reset();
  }
  if (!sums_over_nodes) network.all_reduce.clear();
  if (!network.all_reduce.empty()) {
    for (scenario::Wire* each : {&network.wire, &scenario.scale_up.wire}) {
      each->overhead.reset();
      each->efficiency.reset();
    }
  }
  if (!s.split()) {
    network.model = decode::NetworkModel::ports;
    network.fabric.reset();
  }
}

// The same text for problems that differ in their numbers alone.
std::string without_numbers(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool digit = (c >= '0' && c <= '9') || c == '.';
    if (!digit) {
      out.push_back(c);
    } else if (out.empty() || out.back() != '#') {
      out.push_back('#');
    }
  }
  return out;
}

}  // namespace

Layout layout_of(const Structure& s) {
  return {.model = s.model,
          .strategy = s.strategy,
          .attention_chip = s.attention_chip,
          .ffn_chip = s.ffn_chip,
          .attention_instances = s.attention_instances,
          .ffn_instances = s.ffn_instances,
          .gpus_per_instance = s.gpus_per_instance};
}

Stocktaking::Stocktaking(LocatedGoal located, scenario::Library& library)
    : located_(std::move(located)) {
  Diagnostics diagnostics;
  Goal& goal = located_.goal;
  context_ = goal.context.value_or(context_);
  rate_ = goal.rate;
  take_workload(library, diagnostics);
  const bool drafts = std::any_of(goal.allowed.drafts.begin(), goal.allowed.drafts.end(),
                                  [](std::int64_t tokens) { return tokens > 0; });
  if (drafts && !goal.assumptions.drafting) {
    diagnostics.error(located_.file, located_.pointer + "/allowed/drafts",
                      "how often are drafts accepted? Give \"drafting\" in \"assumptions\"");
  } else if (!drafts && goal.assumptions.drafting) {
    diagnostics.error(located_.file, located_.pointer + "/assumptions/drafting",
                      "of no effect unless \"drafts\" in \"allowed\" has a number above 0");
  }
  take_models(library, diagnostics);
  take_chips(library, diagnostics);
  if (goal.ranges) goal.ranges = settled(located_.file, *goal.ranges);
  ranges_ = library.ranges(goal.ranges, located_.file, located_.pointer + "/ranges", diagnostics);
  if (goal.assumptions.network.model != decode::NetworkModel::ports) {
    diagnostics.error(located_.file, located_.pointer + "/assumptions/network/model",
                      "expected \"ports\", by which a plan times its deployments: simulate what it "
                      "writes with another");
  }
  diagnostics.throw_if_errors();
  take_kernels(library, diagnostics);
  check_objective(diagnostics);
  diagnostics.throw_if_errors();
  resolve_templates(drafts, library, diagnostics);
  diagnostics.throw_if_errors();
}

template <typename Read>
void Stocktaking::tried(const std::string& pointer, Diagnostics& diagnostics, Read&& read) const {
  try {
    read();
  } catch (const UserError& e) {
    diagnostics.error(located_.file, located_.pointer + pointer, e.what());
  }
}

void Stocktaking::take_models(scenario::Library& library, Diagnostics& diagnostics) {
  Goal& goal = located_.goal;
  for (std::size_t i = 0; i < goal.models.size(); ++i) {
    tried(fmt::format("/models/{}", i), diagnostics, [&] {
      goal.models[i] = settled(located_.file, goal.models[i]);
      models_.push_back(goal.models[i].spec
                            ? std::make_shared<const models::ModelSpec>(*goal.models[i].spec)
                            : library.model(goal.models[i].name));
    });
  }
}

void Stocktaking::take_chips(scenario::Library& library, Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < located_.goal.chips.size(); ++i) {
    Stock& stock = located_.goal.chips[i];
    tried(fmt::format("/chips/{}/chip", i), diagnostics, [&] {
      stock.chip = settled(located_.file, stock.chip);
      Chip& chip = chips_.emplace_back();
      chip.spec = stock.chip.spec ? std::make_shared<const hw::ChipSpec>(*stock.chip.spec)
                                  : library.chip(stock.chip.name);
      chip.name = chip.spec->name;
      chip.kernel_model = stock.kernel_model.value_or(kernel_model_for(*chip.spec, library));
      constexpr std::string_view kCalibrated = "calibrated:";
      if (chip.kernel_model.starts_with(kCalibrated)) {
        const std::string name = chip.kernel_model.substr(kCalibrated.size());
        const std::string from = scenario::reference_from(located_.file, name);
        if (from != name) {
          chip.kernel_model =
              fmt::format("{}{}", kCalibrated, std::filesystem::absolute(from).string());
        }
      }
      chip.calibrated = chip.kernel_model != "theoretical";
      chip.price = stock.price;
      if (const hw::Price* listed = chip.spec->price(); !chip.price && listed != nullptr) {
        chip.price = listed->rate;
      }
      if (!chip.spec->chips_per_server.value) {
        throw UserError(fmt::format("chip {}: \"chips_per_server\" is unknown", chip.name));
      }
    });
  }
}

void Stocktaking::take_kernels(scenario::Library& library, Diagnostics& diagnostics) {
  for (std::size_t i = 0; i < chips_.size(); ++i) {
    Chip& chip = chips_[i];
    tried(fmt::format("/chips/{}/kernel_model", i), diagnostics, [&] {
      chip.provenance = library
                            .kernels({chip.kernel_model, located_.goal.chips[i].prefer_kernels},
                                     *chip.spec, located_.file)
                            ->provenance();
    });
  }
}

void Stocktaking::check_objective(Diagnostics& diagnostics) const {
  const Goal& goal = located_.goal;
  const bool priced = std::all_of(chips_.begin(), chips_.end(),
                                  [](const Chip& chip) { return chip.price.has_value(); });
  if (!priced && (goal.budget || objective_of(goal) == Objective::usd_per_million_tokens)) {
    diagnostics.error(located_.file, located_.pointer + "/chips",
                      "the price of a chip is unknown, and the goal counts USD: give its "
                      "\"price_USD_per_hour\", or another \"objective\"");
  }
  if (objective_of(goal) == Objective::gpus && !rate_) {
    diagnostics.error(located_.file, located_.pointer + "/objective",
                      "the fewest GPUs for what rate? Give \"tokens_per_s\"");
  }
}

void Stocktaking::resolve_templates(bool drafts, scenario::Library& library,
                                    Diagnostics& diagnostics) {
  const auto drawn_rows = std::make_shared<decode::DrawnRows>();
  const auto resolve = [&](Structure s) {
    // Within a node, and over two.
    const std::int64_t node = *chips_[s.attention_chip].spec->chips_per_server.value;
    for (const std::int64_t gpus : {node, 2 * node}) {
      s.gpus_per_instance = gpus;
      if (templates_.contains(template_of(s))) continue;
      auto& input = templates_[template_of(s)];
      input = scenario::resolve(scenario_of(s, 1), library, diagnostics).input;
      input.drawn_rows = drawn_rows;
    }
  };
  for (std::size_t m = 0; m < models_.size(); ++m) {
    for (std::size_t a = 0; a < chips_.size(); ++a) {
      for (const std::string& strategy : decode::strategy_names()) {
        for (std::size_t f = 0; f < chips_.size(); ++f) {
          Structure s{.model = m, .strategy = strategy, .attention_chip = a, .ffn_chip = f};
          s.drafts = drafts ? 1 : 0;
          if (strategy == kAfd) {
            s.ffn_instances = 1;
          } else if (f != a) {
            continue;
          }
          resolve(std::move(s));
        }
      }
    }
  }
}

namespace {

// What requests have in decode on average: each counts by the tokens that it generates, half of
// which it has by then.
struct Averages {
  double requests = 0;
  double output = 0;
  double cached = 0;  // times output
  void add(double context, double tokens) {
    requests += 1.0;
    output += tokens;
    cached += tokens * (context + 0.5 * tokens);
  }
};

Averages averages_of(const decode::LengthDistribution& context,
                     const decode::LengthDistribution& output, std::uint64_t seed) {
  Random random(seed);
  Averages out;
  constexpr int kSamples = 20000;
  for (int i = 0; i < kSamples; ++i) {
    const auto tokens = static_cast<double>(context.sample(random));
    out.add(tokens, static_cast<double>(output.sample(random)));
  }
  return out;
}

}  // namespace

void Stocktaking::take_workload(scenario::Library& library, Diagnostics& diagnostics) {
  Goal& goal = located_.goal;
  const auto error = [&](std::string_view pointer, std::string_view message) {
    diagnostics.error(located_.file, fmt::format("{}{}", located_.pointer, pointer), message);
  };
  const bool arrive = requests_arrive(goal);
  if (goal.sla_queueing && !arrive) {
    error("/sla_queueing_ms",
          "nobody waits unless the workload is of kind \"poisson\" or \"trace\"");
  }
  if (!goal.workload) return;
  if (arrive && goal.rate) {
    error("/tokens_per_s", "of no effect where the workload says what arrives");
  }
  Averages all;
  if (auto* trace = std::get_if<scenario::Trace>(&*goal.workload)) {
    trace->file = from_folder_of(located_.file, trace->file);
    try {
      const auto read = library.trace(trace->file, *trace);
      for (const decode::TraceRequest& request : read->requests) {
        all.add(static_cast<double>(request.context_tokens),
                static_cast<double>(request.output_tokens));
      }
      recorded_ = read->requests.back().arrival - read->requests.front().arrival;
      if (recorded_ > Seconds{}) rate_ = all.output / recorded_.value();
    } catch (const UserError& e) {
      error("/workload/file", e.what());
      return;
    }
    if (!rate_) error("/workload/file", "expected requests that arrive one after the other");
  } else {
    const auto* poisson = std::get_if<scenario::Poisson>(&*goal.workload);
    const auto* renewed = std::get_if<RenewedRequests>(&*goal.workload);
    all = averages_of(scenario::distribution_of(poisson ? poisson->context : renewed->context),
                      scenario::distribution_of(poisson ? poisson->output : renewed->output),
                      goal.seed);
    if (poisson) rate_ = poisson->requests_per_second * all.output / all.requests;
  }
  context_ = std::round(all.cached / all.output);
  output_ = all.output / all.requests;
}

PerToken Stocktaking::per_token(const Structure& s) const {
  if (s.drafts == 0) return {};
  const Drafting& drafting = *located_.goal.assumptions.drafting;
  const auto accepted = [&](std::int64_t draft) {
    const auto& first = drafting.acceptance_by_position;
    const auto place = static_cast<std::size_t>(draft);
    return place < first.size() ? first[place] : drafting.acceptance;
  };
  // By how many tokens a step gives.
  std::vector<double> share(static_cast<std::size_t>(s.drafts) + 2, 0.0);
  double so_far = 1.0;
  double tokens = 0.0;
  for (std::int64_t k = 1; k <= s.drafts + 1; ++k) {
    const double more = k <= s.drafts ? accepted(k - 1) : 0.0;
    share[static_cast<std::size_t>(k)] = so_far * (1.0 - more);
    tokens += static_cast<double>(k) * share[static_cast<std::size_t>(k)];
    so_far *= more;
  }
  // Most tokens are quickest.
  double within = 0.0;
  std::int64_t k = s.drafts + 1;
  for (; k > 1; --k) {
    within += static_cast<double>(k) * share[static_cast<std::size_t>(k)] / tokens;
    if (within >= 0.01 * located_.goal.sla_percentile) break;
  }
  return {.mean = 1.0 / tokens, .at_percentile = 1.0 / static_cast<double>(k)};
}

Seconds Stocktaking::tpot_floor(const Structure& s, Seconds step) const {
  // Steps that differ are as long as the floor on average, and half of them may be shorter.
  constexpr double kMost = 95.0;
  if (s.schedule == decode::Schedule::fifo && located_.goal.sla_percentile < kMost) return {};
  return per_token(s).at_percentile * step;
}

bool Stocktaking::calibrated() const {
  return std::any_of(chips_.begin(), chips_.end(), [](const Chip& c) { return c.calibrated; });
}

scenario::LocatedScenario Stocktaking::scenario_of(const Structure& s,
                                                   std::int64_t requests) const {
  const Goal& goal = located_.goal;
  scenario::LocatedScenario out{.file = located_.file, .pointer = {}, .scenario = {}};
  scenario::Scenario& scenario = out.scenario;
  scenario.title = fmt::format("{}: {}", title_of(s), words_of(s));
  scenario.model = goal.models[s.model];
  scenario::Deployment& d = scenario.deployment;
  d.strategy = s.strategy;
  d.micro_batches = s.micro_batches;
  d.dispatch = s.dispatch;
  d.collectives = s.collectives;
  d.schedule = s.schedule;
  d.step_overhead = goal.assumptions.step_overhead;
  d.attention_precision = goal.assumptions.attention_precision;
  if (s.drafts > 0) {
    const Drafting& drafting = *goal.assumptions.drafting;
    d.drafting = scenario::Drafting{.tokens = s.drafts,
                                    .draft_model = drafting.draft_model,
                                    .acceptance = drafting.acceptance,
                                    .acceptance_by_position = drafting.acceptance_by_position};
  }
  const auto pool = [&](std::size_t chip, std::int64_t instances) {
    scenario::Pool out_pool;
    out_pool.instances = instances;
    out_pool.gpus_per_instance = s.gpus_per_instance;
    out_pool.chip = goal.chips[chip].chip;
    out_pool.kernel_model = chips_[chip].kernel_model;
    out_pool.prefer_kernels = goal.chips[chip].prefer_kernels;
    out_pool.price = goal.chips[chip].price;
    return out_pool;
  };
  const auto holds_ffn = [&](scenario::Pool& p) {
    p.ffn_tensor_parallel = s.ffn_tensor_parallel;
    p.ffn_expert_parallel = s.ffn_expert_parallel;
    p.redundant_experts = s.redundant_experts;
  };
  if (s.split()) {
    scenario::SplitPools pools{.attention = pool(s.attention_chip, s.attention_instances),
                               .ffn = pool(s.ffn_chip, s.ffn_instances)};
    pools.attention.attention_tensor_parallel = s.attention_tensor_parallel;
    pools.attention.context_parallel = s.context_parallel;
    holds_ffn(pools.ffn);
    d.pools = std::move(pools);
  } else {
    scenario::WholePool pools{.gpus = pool(s.attention_chip, s.attention_instances)};
    pools.gpus.attention_tensor_parallel = s.attention_tensor_parallel;
    pools.gpus.context_parallel = s.context_parallel;
    holds_ffn(pools.gpus);
    d.pools = std::move(pools);
  }
  scenario.ranges = goal.ranges;
  scenario.network = goal.assumptions.network;
  scenario.scale_up = goal.assumptions.scale_up;
  drop_what_has_no_effect(s, sums_over_nodes(s), scenario);
  scenario::ClosedLoop loop;
  loop.requests_per_group = requests * s.micro_batches;
  loop.steady = true;
  loop.context = scenario::FixedLength{context_};
  scenario.workload = std::move(loop);
  scenario.admission.memory_utilization = goal.assumptions.memory_utilization;
  // A steady pipeline has filled after as many steps.
  scenario.measurement =
      scenario::MeasuredSteps{.warmup = 3, .steps = s.drafts > 0 ? kStepsOfDrafts : kSteps};
  // A scenario's SLA is of the 95th percentile.
  if (goal.sla_percentile == 95.0) scenario.sla.tpot = goal.sla_tpot;
  scenario.seed = goal.seed;
  return out;
}

scenario::LocatedScenario Stocktaking::served_scenario(const Structure& s, std::int64_t requests,
                                                       std::int64_t replicas) const {
  const Goal& goal = located_.goal;
  scenario::LocatedScenario out = scenario_of(s, requests);
  scenario::Scenario& scenario = out.scenario;
  scenario.deployment.replicas = replicas;
  if (const auto* renewed = std::get_if<RenewedRequests>(&*goal.workload)) {
    auto& loop = std::get<scenario::ClosedLoop>(scenario.workload);
    loop.steady = false;
    loop.context = renewed->context;
    loop.output = renewed->output;
    scenario.measurement = scenario::MeasuredSteps{.warmup = 20, .steps = 200};
    return out;
  }
  // Where requests come and go, nothing keeps a rotation.
  scenario.deployment.schedule = decode::Schedule::fifo;
  scenario.admission.max_requests_per_gpu =
      std::max<std::int64_t>(1, requests * s.micro_batches / s.attention_tensor_parallel);
  if (goal.sla_percentile == 95.0) scenario.sla.queueing = goal.sla_queueing;
  // Until the first that came have left, and then until many have.
  const Seconds stay = output_ * goal.sla_tpot;
  scenario::MeasuredTime time{.warmup = 2.0 * stay, .duration = 6.0 * stay};
  if (const auto* trace = std::get_if<scenario::Trace>(&*goal.workload)) {
    scenario.workload = *trace;
    time = {.warmup = {}, .duration = recorded_};
  } else {
    scenario.workload = std::get<scenario::Poisson>(*goal.workload);
  }
  scenario.measurement = time;
  return out;
}

bool Stocktaking::sums_over_nodes(const Structure& s) const {
  return s.strategy == kTensorParallel &&
         s.gpus_per_instance > *chips_[s.attention_chip].spec->chips_per_server.value;
}

Stocktaking::Template Stocktaking::template_of(const Structure& s) const {
  return {s.model, s.strategy, s.attention_chip, s.split() ? s.ffn_chip : s.attention_chip,
          sums_over_nodes(s)};
}

decode::SimulationInput Stocktaking::input_of(const Structure& s, std::int64_t requests) const {
  decode::SimulationInput input = templates_.at(template_of(s));
  decode::Deployment& d = input.deployment;
  d.micro_batches = s.micro_batches;
  d.dispatch = s.dispatch;
  d.collectives = s.collectives;
  d.schedule = s.schedule;
  d.attention_tensor_parallel = s.attention_tensor_parallel;
  d.context_parallel = s.context_parallel;
  d.drafting.tokens = s.drafts;
  d.ffn_tensor_parallel = s.ffn_tensor_parallel;
  d.ffn_expert_parallel = s.ffn_expert_parallel;
  d.redundant_experts = s.redundant_experts;
  for (decode::Pool& pool : d.pools) {
    pool.instances =
        pool.roles.has(decode::Role::attention) ? s.attention_instances : s.ffn_instances;
    pool.gpus_per_instance = s.gpus_per_instance;
  }
  input.measurement.steps = s.drafts > 0 ? kStepsOfDrafts : kSteps;
  input.workload.requests_per_group = requests * s.micro_batches;
  return input;
}

std::optional<UsdPerSecond> Stocktaking::price_of(const Structure& s) const {
  const auto& attention = chips_[s.attention_chip].price;
  if (!attention) return std::nullopt;
  UsdPerSecond total =
      static_cast<double>(s.attention_instances * s.gpus_per_instance) * *attention;
  if (!s.split()) return total;
  const auto& ffn = chips_[s.ffn_chip].price;
  if (!ffn) return std::nullopt;
  return total + static_cast<double>(s.ffn_instances * s.gpus_per_instance) * *ffn;
}

std::int64_t Stocktaking::replicas_of(const Structure& s) const {
  const Goal& goal = located_.goal;
  std::int64_t replicas = goal.gpus / s.gpus();
  for (std::size_t c = 0; c < goal.chips.size(); ++c) {
    std::int64_t used = 0;
    if (c == s.attention_chip) used += s.attention_instances * s.gpus_per_instance;
    if (c == s.ffn_chip) used += s.ffn_instances * s.gpus_per_instance;
    if (used > 0 && goal.chips[c].gpus) replicas = std::min(replicas, *goal.chips[c].gpus / used);
  }
  if (const auto price = price_of(s); goal.budget && price) {
    replicas = std::min(replicas, static_cast<std::int64_t>(std::floor(*goal.budget / *price)));
  }
  return replicas;
}

namespace {

class Enumeration {
 public:
  explicit Enumeration(const Stocktaking& stock) : stock_(stock), goal_(stock.goal()) {}

  Candidates run() {
    for (std::size_t m = 0; m < stock_.models().size(); ++m) {
      for (std::size_t a = 0; a < stock_.chips().size(); ++a) {
        if (allowed(kAfd)) {
          for (std::size_t f = 0; f < stock_.chips().size(); ++f) {
            if (f == a || goal_.allowed.unlike_pools) disaggregated(m, a, f);
          }
        }
        if (allowed(kWideExpertParallel)) wide_expert_parallel(m, a);
        if (allowed(kTensorParallel)) tensor_parallel(m, a);
      }
    }
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool allowed(const std::string& strategy) const {
    const auto& names = goal_.allowed.strategies;
    return names.empty() || std::find(names.begin(), names.end(), strategy) != names.end();
  }
  [[nodiscard]] std::int64_t node_of(std::size_t chip) const {
    return *stock_.chips()[chip].spec->chips_per_server.value;
  }
  template <typename T>
  static std::vector<T> or_usual(const std::vector<T>& given, std::vector<T> usual) {
    return given.empty() ? std::move(usual) : given;
  }
  [[nodiscard]] std::vector<std::int64_t> micro_batches(std::int64_t usual) const {
    std::vector<std::int64_t> all;
    for (std::int64_t m = 1; m <= usual; ++m) all.push_back(m);
    return or_usual(goal_.allowed.micro_batches, std::move(all));
  }
  [[nodiscard]] std::vector<decode::Schedule> schedules(std::int64_t micro_batches,
                                                        bool split) const {
    // One micro-batch alone on one pool waits for nobody, in whatever order.
    if (micro_batches == 1 && !split) {
      return {goal_.allowed.schedules.empty() ? decode::Schedule::cyclic
                                              : goal_.allowed.schedules.front()};
    }
    return or_usual(goal_.allowed.schedules, {decode::Schedule::cyclic, decode::Schedule::fifo});
  }
  [[nodiscard]] std::vector<std::int64_t> attention_splits(std::int64_t within) const {
    return or_usual(goal_.allowed.attention_tensor_parallel, powers_of_two_to(within));
  }

  void disaggregated(std::size_t model, std::size_t a, std::size_t f) {
    const auto sizes =
        or_usual(goal_.allowed.gpus_per_instance, {std::min(node_of(a), node_of(f))});
    for (const std::int64_t gpus : sizes) {
      for (std::int64_t as = 1; as * gpus < goal_.gpus; ++as) {
        for (std::int64_t fs = 1; (as + fs) * gpus <= goal_.gpus; ++fs) {
          Structure s{.model = model,
                      .strategy = kAfd,
                      .attention_chip = a,
                      .ffn_chip = f,
                      .attention_instances = as,
                      .ffn_instances = fs,
                      .gpus_per_instance = gpus};
          for (const std::int64_t tp : powers_of_two_to(gpus)) {
            for (const std::int64_t share : attention_splits(gpus)) {
              s.ffn_tensor_parallel = tp;
              s.ffn_expert_parallel = fs * gpus / tp;
              s.attention_tensor_parallel = share;
              const auto all = or_usual(goal_.allowed.dispatches,
                                        {decode::Dispatch::broadcast, decode::Dispatch::routed});
              std::vector<decode::Dispatch> dispatches = all;
              // To one instance, both send everything.
              if (fs == 1) dispatches.resize(1);
              variants(s, dispatches, kUsualMicroBatches);
            }
          }
        }
      }
    }
  }

  void wide_expert_parallel(std::size_t model, std::size_t chip) {
    const std::int64_t node = node_of(chip);
    std::vector<std::int64_t> sizes = powers_of_two_to(node - 1);
    for (std::int64_t n = node; n <= goal_.gpus; n += node) sizes.push_back(n);
    for (const std::int64_t gpus : sizes) {
      if (gpus < 2 || gpus > goal_.gpus) continue;
      Structure s{.model = model,
                  .strategy = kWideExpertParallel,
                  .attention_chip = chip,
                  .ffn_chip = chip,
                  .gpus_per_instance = gpus};
      s.ffn_expert_parallel = gpus;
      s.collectives = measured_collectives(chip);
      for (const std::int64_t copies :
           or_usual(goal_.allowed.redundant_experts, {fewest_copies(model, gpus)})) {
        for (const std::int64_t share : attention_splits(std::min(node, gpus))) {
          s.redundant_experts = copies;
          s.attention_tensor_parallel = share;
          variants(s, {decode::Dispatch::broadcast}, kUsualMicroBatchesOfOnePool);
        }
      }
    }
  }

  void tensor_parallel(std::size_t model, std::size_t chip) {
    const std::int64_t node = node_of(chip);
    for (const std::int64_t gpus : powers_of_two_to(goal_.gpus)) {
      if (gpus > node && gpus % node != 0) continue;
      const auto& shares = goal_.allowed.attention_tensor_parallel;
      if (!shares.empty() && std::find(shares.begin(), shares.end(), gpus) == shares.end())
        continue;
      for (const std::int64_t tp : powers_of_two_to(gpus)) {
        Structure s{.model = model,
                    .strategy = kTensorParallel,
                    .attention_chip = chip,
                    .ffn_chip = chip,
                    .gpus_per_instance = gpus,
                    .attention_tensor_parallel = gpus,
                    .ffn_tensor_parallel = tp,
                    .ffn_expert_parallel = gpus / tp};
        if (gpus <= node) s.collectives = measured_collectives(chip);
        variants(s, {decode::Dispatch::broadcast}, kUsualMicroBatchesOfOnePool);
      }
    }
  }

  [[nodiscard]] decode::CollectiveTiming measured_collectives(std::size_t chip) const {
    return stock_.chips()[chip].calibrated ? decode::CollectiveTiming::kernel_model
                                           : decode::CollectiveTiming::links;
  }

  // Copies that make the experts of every block divide over the ranks.
  [[nodiscard]] std::int64_t fewest_copies(std::size_t model, std::int64_t ranks) const {
    for (std::int64_t copies = 0; copies < ranks; ++copies) {
      bool well = true;
      for (const auto& block : stock_.models()[model]->ffns) {
        const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
        well = well && (moe == nullptr || (moe->experts + copies) % ranks == 0);
      }
      if (well) return copies;
    }
    return 0;
  }

  // GPUs that would keep the same KV of a request whose heads so many share.
  [[nodiscard]] std::int64_t copies_of_cache(std::size_t model, std::int64_t sharing) const {
    std::int64_t copies = 0;
    for (const auto& block : stock_.models()[model]->attentions) {
      if (!models::splits_by_tokens(block)) return 1;
      copies = std::gcd(copies, sharing / models::cache_ranks(block, sharing));
    }
    return std::max<std::int64_t>(copies, 1);
  }

  void variants(Structure s, const std::vector<decode::Dispatch>& dispatches,
                std::int64_t usual_micro_batches) {
    // Where all GPUs share every request, most would keep the same.
    std::vector<std::int64_t> parts = {1};
    if (const auto copies = copies_of_cache(s.model, s.attention_tensor_parallel);
        s.strategy == kTensorParallel && copies > 1 && copies <= node_of(s.attention_chip)) {
      parts.push_back(copies);
    }
    for (const std::int64_t drafts : or_usual(goal_.allowed.drafts, {0})) {
      for (const std::int64_t split : or_usual(goal_.allowed.context_parallel, parts)) {
        if (split > s.attention_tensor_parallel) continue;
        s.drafts = drafts;
        s.context_parallel = split;
        orders_of_work(s, dispatches, usual_micro_batches);
      }
    }
  }

  // All of a structure that is possible.
  void orders_of_work(Structure s, const std::vector<decode::Dispatch>& dispatches,
                      std::int64_t usual_micro_batches) {
    const auto most = micro_batches(usual_micro_batches);
    std::vector<Structure> all;
    for (const std::int64_t m : most) {
      for (const decode::Dispatch dispatch : dispatches) {
        for (const decode::Schedule schedule : schedules(m, s.split())) {
          s.micro_batches = m;
          s.dispatch = dispatch;
          s.schedule = schedule;
          all.push_back(s);
        }
      }
    }
    out_.considered += all.size();
    if (stock_.replicas_of(s) < 1) {
      refuse(s, "more GPUs or USD than the goal has of a kind", all.size());
      return;
    }
    const decode::SimulationInput input = stock_.input_of(s, 1);
    const auto problems = decode::deployment_problems(input.deployment);
    if (!problems.empty()) {
      refuse(s, problems.front(), all.size());
      return;
    }
    const decode::MemoryPlan memory =
        decode::plan_memory(input.deployment, input.admission, input.workload);
    if (!memory.problems.empty()) {
      refuse(s, memory.problems.front().words, all.size());
      return;
    }
    std::map<std::int64_t, std::int64_t> most_requests;  // by micro-batches
    for (const Structure& one : all) {
      const auto [fit, added] = most_requests.try_emplace(one.micro_batches, 0);
      if (added) fit->second = most_requests_of(one);
      if (fit->second < 1) {
        refuse(one, "no request fits beside the weights in each micro-batch", 1);
      } else {
        out_.all.push_back({one, fit->second});
      }
    }
  }

  // The more requests, the more memory they need, and their activations besides.
  [[nodiscard]] std::int64_t most_requests_of(const Structure& s) const {
    decode::SimulationInput input = stock_.input_of(s, 1);
    const double each = decode::request_kv_bytes(input.deployment, input.admission,
                                                 static_cast<std::int64_t>(stock_.context()))
                            .value();
    const auto fit = [&](std::int64_t requests) {
      input.workload.requests_per_group = requests * s.micro_batches;
      const auto memory = decode::plan_memory(input.deployment, input.admission, input.workload);
      const Bytes budget =
          memory.pools[input.deployment.index_of(decode::Role::attention)].kv_budget;
      return memory.problems.empty() &&
             static_cast<double>(requests * s.micro_batches) * each <= budget.value();
    };
    std::int64_t fits = 0;
    std::int64_t too_many = 1;
    constexpr std::int64_t kMost = 1 << 20;
    while (too_many < kMost && fit(too_many)) {
      fits = too_many;
      too_many *= 2;
    }
    while (too_many - fits > 1) {
      const std::int64_t middle = (fits + too_many) / 2;
      (fit(middle) ? fits : too_many) = middle;
    }
    return fits;
  }

  void refuse(const Structure& s, const std::string& reason, std::size_t structures) {
    const std::string key = s.strategy + "\n" + without_numbers(reason);
    const auto [place, added] = reasons_.try_emplace(key, out_.impossible.size());
    if (added) out_.impossible.push_back({s.strategy, reason, 0});
    out_.impossible[place->second].structures += structures;
  }

  const Stocktaking& stock_;
  const Goal& goal_;
  Candidates out_;
  std::map<std::string, std::size_t> reasons_;
};

}  // namespace

Candidates candidates(const Stocktaking& stock) {
  return Enumeration(stock).run();
}

std::string title_of(const Structure& s) {
  if (s.split()) return fmt::format("AFD {}A{}F", s.attention_instances, s.ffn_instances);
  if (s.strategy == kWideExpertParallel) return fmt::format("EP{}", s.ffn_expert_parallel);
  if (s.ffn_expert_parallel > 1 && s.ffn_tensor_parallel > 1) {
    return fmt::format("TP{} (FFN TP{} x EP{})", s.gpus_per_instance, s.ffn_tensor_parallel,
                       s.ffn_expert_parallel);
  }
  if (s.ffn_expert_parallel > 1) {
    return fmt::format("TP{} (FFN EP{})", s.gpus_per_instance, s.ffn_expert_parallel);
  }
  return fmt::format("TP{}", s.gpus_per_instance);
}

std::string words_of(const Structure& s) {
  std::string out =
      fmt::format("{} micro-batch{}", s.micro_batches, s.micro_batches > 1 ? "es" : "");
  if (s.attention_tensor_parallel > 1 && s.strategy != kTensorParallel) {
    out += fmt::format(", attention TP{}", s.attention_tensor_parallel);
  }
  if (s.split()) {
    out += fmt::format(", FFN TP{} x EP{}, {}", s.ffn_tensor_parallel, s.ffn_expert_parallel,
                       s.dispatch == decode::Dispatch::routed ? "routed" : "broadcast");
  }
  if (s.context_parallel > 1) out += fmt::format(", DCP{}", s.context_parallel);
  if (s.drafts > 0) out += fmt::format(", {} draft{}", s.drafts, s.drafts > 1 ? "s" : "");
  if (s.redundant_experts > 0) out += fmt::format(", {} expert copies", s.redundant_experts);
  if (s.micro_batches > 1 || s.split()) {
    out += s.schedule == decode::Schedule::cyclic ? ", cyclic" : ", fifo";
  }
  return out;
}

}  // namespace ridge::plan
