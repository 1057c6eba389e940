#include "ridge/scenario/input_draws.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::scenario {
namespace {

// Streams of random numbers: of releases, and the first of ranges.
constexpr std::uint64_t kReleaseStream = 1;
constexpr std::uint64_t kRangeStreams = 1000;

std::string_view quantity_of(RangedInput input) {
  switch (input) {
    case RangedInput::expert_popularity:
      return "exponent";
    case RangedInput::balancer_error:
      return "error";
    case RangedInput::exchange_nics:
      return "share";
    case RangedInput::step_overhead_us:
      return "step_overhead_us";
    case RangedInput::host_stagger_us:
      return "host_stagger_us";
    case RangedInput::message_overhead_us:
      return "message_overhead_us";
  }
  return {};
}

std::vector<const Pool*> pools_of(const Scenario& scenario) {
  if (const auto* whole = std::get_if<WholePool>(&scenario.deployment.pools)) {
    return {&whole->gpus};
  }
  const auto& split = std::get<SplitPools>(scenario.deployment.pools);
  return {&split.attention, &split.ffn};
}

// The link that messages between pools take; null where no pool sends another any.
const Wire* message_wire(const Scenario& scenario) {
  if (!std::holds_alternative<SplitPools>(scenario.deployment.pools)) return nullptr;
  return scenario.network.path == decode::MessagePath::scale_up ? &scenario.scale_up.wire
                                                                : &scenario.network.wire;
}

// Of all pools.
std::vector<std::string> preferred_kernels(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const Pool* pool : pools_of(scenario)) {
    out.insert(out.end(), pool->prefer_kernels.begin(), pool->prefer_kernels.end());
  }
  return out;
}

std::shared_ptr<const hw::ChipSpec> chip_of(const LocatedScenario& located, const Pool& pool,
                                            Library& library) {
  if (pool.chip.spec) return std::make_shared<const hw::ChipSpec>(*pool.chip.spec);
  return library.chip(reference_from(located.file, pool.chip.name));
}

bool chooses_experts(const LocatedScenario& located, Library& library) {
  const ModelReference& model = located.scenario.model;
  const auto has_moe = [](const models::ModelSpec& spec) {
    return std::any_of(spec.ffns.begin(), spec.ffns.end(), [](const models::FfnBlock& block) {
      return std::holds_alternative<models::MoeFfn>(block.kind);
    });
  };
  return has_moe(model.spec ? *model.spec
                            : *library.model(reference_from(located.file, model.name)));
}

}  // namespace

OpenInputs open_inputs(const LocatedScenario& located, Library& library) {
  const Scenario& scenario = located.scenario;
  const Deployment& d = scenario.deployment;
  // The one that holds the experts.
  const Pool& pool = *pools_of(scenario).back();
  const std::int64_t node = pool.gpus_per_node.value_or(
      chip_of(located, pool, library)->chips_per_server.value.value_or(pool.gpus_per_instance));
  const bool over_nodes = pool.gpus_per_instance > node;
  OpenInputs open{.step_overhead = !d.step_overhead};
  open.host_stagger = !d.execution.host_stagger;
  const Wire* messages = message_wire(scenario);
  open.message_overhead = messages != nullptr && !messages->overhead;
  open.experts = !scenario.noise.experts && chooses_experts(located, library);
  // Copies are made by a balancer of the experts' load, and one comes with expert parallelism over
  // nodes.
  open.balancer =
      open.experts && (pool.redundant_experts > 0 || (over_nodes && pool.ffn_expert_parallel > 1));
  open.exchange_nics = d.strategy == "wide_expert_parallel" && over_nodes && !pool.nic_bandwidth &&
                       d.collectives == decode::CollectiveTiming::kernel_model;
  if (d.strategy == "tensor_parallel" && over_nodes &&
      d.collectives == decode::CollectiveTiming::links && scenario.network.all_reduce.empty() &&
      !scenario.network.wire.is_told() && !scenario.scale_up.wire.is_told()) {
    const auto ranges = ranges_of(located, library);
    if (const SumsSpan* span = ranges->sums_over(pool.gpus_per_instance, node)) {
      open.clusters = span->clusters;
    }
  }
  return open;
}

std::shared_ptr<const Ranges> ranges_of(const LocatedScenario& located, Library& library) {
  Diagnostics diagnostics;
  auto out = library.ranges(located.scenario.ranges, located.file, located.pointer + "/ranges",
                            diagnostics);
  diagnostics.throw_if_errors();
  return out;
}

SumsCluster median_of(const std::vector<SumsCluster>& clusters) {
  if (clusters.size() == 1) return clusters.front();
  // As far as nccl-tests prints sums within a millisecond or so, where all are laws.
  std::size_t sizes = 20;
  SumsCluster out;
  for (const SumsCluster& cluster : clusters) {
    for (const decode::AllReduceWay& way : cluster.ways) {
      sizes = std::max(sizes, way.measured.size());
    }
    if (out.fabric.find(cluster.fabric) == std::string::npos) {
      out.fabric += (out.fabric.empty() ? "" : ", ") + cluster.fabric;
    }
    out.source += (out.source.empty() ? "the median of: " : "; ") + cluster.source;
  }
  decode::AllReduceWay& median = out.ways.emplace_back();
  for (std::size_t i = 0; i < sizes; ++i) {
    const Bytes size{64.0 * std::exp2(static_cast<double>(i))};
    std::vector<Seconds> times;
    for (const SumsCluster& cluster : clusters) {
      Seconds fastest = cluster.ways.front().time(size);
      for (const decode::AllReduceWay& way : cluster.ways) {
        fastest = std::min(fastest, way.time(size));
      }
      times.push_back(fastest);
    }
    std::sort(times.begin(), times.end());
    const std::size_t half = times.size() / 2;
    median.measured.push_back(times.size() % 2 == 1 ? times[half]
                                                    : 0.5 * (times[half - 1] + times[half]));
  }
  return out;
}

std::vector<decode::AllReduceWay> sums_of(const SumsCluster& cluster, Seconds gap) {
  std::vector<decode::AllReduceWay> ways = cluster.ways;
  for (decode::AllReduceWay& way : ways) {
    if (way.measured.empty()) way.overhead += gap;
    for (Seconds& measured : way.measured) measured += gap;
  }
  return ways;
}

std::vector<std::string> InputDraws::names(const Ranges& ranges) {
  std::vector<std::string> out;
  for (const InputRange& range : ranges.inputs) out.push_back(range.name);
  for (const std::string_view name : {kClusters, kReleases, kInputs}) out.emplace_back(name);
  return out;
}

InputDraws::InputDraws(std::shared_ptr<const Ranges> ranges, const std::vector<std::string>& fixed,
                       const std::vector<std::string>& others)
    : ranges_(std::move(ranges)) {
  const auto is_in = [](const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool all_fixed = is_in(fixed, kInputs);
  const auto is_drawn = [&](std::string_view name) { return !all_fixed && !is_in(fixed, name); };
  for (const InputRange& range : ranges_->inputs) drawn_.push_back(is_drawn(range.name));
  clusters_ = is_drawn(kClusters);
  releases_ = is_drawn(kReleases);
  std::vector<std::string> known = names(*ranges_);
  for (const std::string& name : fixed) {
    if (is_in(known, name) || is_in(others, name)) continue;
    known.back() += " (all of them)";
    throw UserError(fmt::format("nothing that is drawn is named \"{}\"; there are\n  {}", name,
                                fmt::join(known, "\n  ")));
  }
}

std::size_t InputDraws::range_of(RangedInput input) const {
  for (std::size_t i = 0; i < drawn_.size(); ++i) {
    if (drawn_[i] && ranges_->inputs[i].of == input) return i;
  }
  return kNone;
}

std::size_t InputDraws::step_overhead_range(const std::string& engine,
                                            const std::vector<std::string>& kernels) const {
  const auto is_of = [&](const InputRange& range) {
    if (!engine.empty()) return range.engine == engine;
    return std::any_of(range.kernels.begin(), range.kernels.end(), [&](const std::string& its) {
      return std::any_of(kernels.begin(), kernels.end(), [&](const std::string& kernel) {
        return hw::calibrated::is_named(kernel, its);
      });
    });
  };
  std::size_t found = kNone;
  for (std::size_t i = 0; i < ranges_->inputs.size(); ++i) {
    const InputRange& range = ranges_->inputs[i];
    if (range.of != RangedInput::step_overhead_us) continue;
    if (!range.engine.empty() && is_of(range)) {
      found = i;
      break;
    }
    if (range.engine.empty() && found == kNone) found = i;
  }
  return found != kNone && drawn_[found] ? found : kNone;
}

double InputDraws::value(std::size_t range, std::uint64_t seed) const {
  const InputRange& of = ranges_->inputs[range];
  return of.low + Random(seed, kRangeStreams + of.stream).uniform() * (of.high - of.low);
}

CalibrationDraw InputDraws::calibrations(std::uint64_t seed) const {
  const double spread = releases_ && ranges_->releases ? ranges_->releases->spread : 0.0;
  return {.seed = seed, .release = Random(seed, kReleaseStream).lognormal(spread)};
}

std::optional<Seconds> InputDraws::step_overhead(const std::string& engine,
                                                 const std::vector<std::string>& kernels,
                                                 std::uint64_t seed) const {
  const std::size_t range = step_overhead_range(engine, kernels);
  if (range == kNone) return std::nullopt;
  return Seconds{1e-6 * value(range, seed)};
}

Scenario InputDraws::drawn(const LocatedScenario& located, const OpenInputs& open, Library& library,
                           std::uint64_t seed) const {
  Scenario out = located.scenario;
  out.ranges.reset();  // this is a draw from them
  if (const std::size_t range = range_of(RangedInput::expert_popularity);
      open.experts && range != kNone) {
    if (!out.noise.experts) out.noise.experts = PowerLawExperts{};
    std::get<PowerLawExperts>(*out.noise.experts).exponent = value(range, seed);
  }
  if (const std::size_t range = range_of(RangedInput::balancer_error);
      open.balancer && range != kNone && out.noise.experts) {
    std::get<PowerLawExperts>(*out.noise.experts).balancer_error = value(range, seed);
  }
  if (const std::size_t range = range_of(RangedInput::exchange_nics);
      open.exchange_nics && range != kNone) {
    Pool& pool = std::get<WholePool>(out.deployment.pools).gpus;
    if (const auto& nic = chip_of(located, pool, library)->nic_bandwidth.value) {
      pool.nic_bandwidth = value(range, seed) * *nic;
    }
  }
  if (open.step_overhead) {
    if (const auto drawn = step_overhead(open.engine, preferred_kernels(out), seed)) {
      out.deployment.step_overhead = *drawn;
    }
  }
  if (const std::size_t range = range_of(RangedInput::host_stagger_us);
      open.host_stagger && range != kNone) {
    out.deployment.execution.host_stagger = Seconds{1e-6 * value(range, seed)};
  }
  if (const std::size_t range = range_of(RangedInput::message_overhead_us);
      open.message_overhead && range != kNone) {
    Wire& wire =
        out.network.path == decode::MessagePath::scale_up ? out.scale_up.wire : out.network.wire;
    wire.overhead = Seconds{1e-6 * value(range, seed)};
  }
  if (clusters_ && !open.clusters.empty()) {
    out.network.all_reduce =
        sums_of(open.clusters[seed % open.clusters.size()], open.gap_before_sums);
  }
  return out;
}

// Told by its quantity, which ends in the unit.
DrawnInput InputDraws::told(std::size_t range, std::optional<double> own) const {
  constexpr double kNearTheEnd = 0.05;
  const InputRange& of = ranges_->inputs[range];
  const double near = kNearTheEnd * (of.high - of.low);
  return {.what = of.name,
          .from = fmt::format("{} {:g} to {:g}", quantity_of(of.of), of.low, of.high),
          .source = of.source,
          .one_sided = own && (*own <= of.low + near || *own >= of.high - near)};
}

DrawnInput InputDraws::told_clusters() const {
  return {.what = std::string(kClusters),
          .from = "those measured, in turn, where none is named",
          .source = ranges_->sums_over_nodes ? ranges_->sums_over_nodes->source : ""};
}

std::optional<DrawnInput> InputDraws::drawn_releases() const {
  if (!releases_ || !ranges_->releases) return std::nullopt;
  return DrawnInput{
      .what = std::string(kReleases),
      .from = fmt::format(
          "kernels times a factor of median 1, standard deviation {:g} of its logarithm",
          ranges_->releases->spread),
      .source = ranges_->releases->source};
}

std::optional<DrawnInput> InputDraws::drawn_step_overhead(
    const std::string& engine, const std::vector<std::string>& kernels) const {
  const std::size_t range = step_overhead_range(engine, kernels);
  return range == kNone ? std::nullopt : std::optional(told(range));
}

std::vector<DrawnInput> InputDraws::inputs() const {
  std::vector<DrawnInput> out;
  for (std::size_t i = 0; i < drawn_.size(); ++i) {
    if (drawn_[i]) out.push_back(told(i));
  }
  if (clusters_) out.push_back(told_clusters());
  if (const auto releases = drawn_releases()) out.push_back(*releases);
  return out;
}

std::vector<DrawnInput> InputDraws::inputs(const LocatedScenario& located, const OpenInputs& open,
                                           Library& library) const {
  const Scenario& scenario = located.scenario;
  std::vector<DrawnInput> out;
  const auto add = [&](bool is_open, std::size_t range, auto&& own) {
    if (is_open && range != kNone) out.push_back(told(range, own()));
  };
  const PowerLawExperts* experts =
      scenario.noise.experts ? std::get_if<PowerLawExperts>(&*scenario.noise.experts) : nullptr;
  add(open.experts, range_of(RangedInput::expert_popularity),
      [&] { return experts == nullptr ? 0.0 : experts->exponent; });
  // What a balancer knows wrongly of experts that stay all alike is nothing.
  const bool unlike =
      experts != nullptr || (open.experts && range_of(RangedInput::expert_popularity) != kNone);
  add(open.balancer && unlike, range_of(RangedInput::balancer_error),
      [&] { return experts == nullptr ? 0.0 : experts->balancer_error.value_or(0.0); });
  add(open.exchange_nics, range_of(RangedInput::exchange_nics), [&] {
    const Pool& pool = *pools_of(scenario).front();
    const auto& nic = chip_of(located, pool, library)->nic_bandwidth.value;
    return pool.nic_bandwidth && nic ? *pool.nic_bandwidth / *nic : 1.0;
  });
  add(open.step_overhead, step_overhead_range(open.engine, preferred_kernels(scenario)),
      [&] { return 1e6 * scenario.deployment.step_overhead.value_or(Seconds{}).value(); });
  add(open.host_stagger, range_of(RangedInput::host_stagger_us),
      [&] { return 1e6 * scenario.deployment.execution.host_stagger.value_or(Seconds{}).value(); });
  add(open.message_overhead, range_of(RangedInput::message_overhead_us),
      [&] { return 1e6 * message_wire(scenario)->overhead.value_or(Seconds{}).value(); });
  if (clusters_ && !open.clusters.empty()) {
    out.push_back(told_clusters());
    // None of them, unless the scenario is a ledger's question.
    out.back().one_sided = scenario.network.all_reduce.empty();
  }
  if (const auto releases = drawn_releases()) out.push_back(*releases);
  return out;
}

std::vector<std::string> fixed_in_vain(const std::vector<std::string>& fixed,
                                       const std::vector<DrawnInput>& drawn, std::string_view why) {
  std::vector<std::string> out;
  for (const std::string& name : fixed) {
    const bool acts =
        name == kInputs ? !drawn.empty()
                        : std::any_of(drawn.begin(), drawn.end(),
                                      [&](const DrawnInput& input) { return input.what == name; });
    if (acts) continue;
    out.push_back(fmt::format("\"{}\" is not drawn here, fixed or not: {}", name, why));
  }
  return out;
}

std::string one_sided_words(const std::vector<std::string>& inputs) {
  if (inputs.empty()) return "Some kernels lie beyond what they were measured on.";
  return fmt::format("The prediction takes an end of what is drawn, or lies outside, in {}.",
                     fmt::join(inputs, ", "));
}

std::string words_of(const std::vector<DrawnInput>& inputs) {
  std::vector<std::string> words;
  for (const DrawnInput& input : inputs) {
    words.push_back(fmt::format("{} ({})", input.what, input.from));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace ridge::scenario
