#include "ridge/scenario/simulation_scenario.hpp"

#include "request_trace.hpp"
#include "ridge/base/format.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <type_traits>

#include <fmt/format.h>

namespace ridge::scenario {
namespace {

using decode::Deployment;
using decode::Pool;

constexpr double kMaxGpus = 1e6;

constexpr std::array<Named<decode::Dispatch>, 2> kDispatches = {
    {{"broadcast", decode::Dispatch::broadcast}, {"routed", decode::Dispatch::routed}}};
constexpr std::array<Named<decode::CollectiveTiming>, 2> kCollectives = {
    {{"links", decode::CollectiveTiming::links},
     {"kernel_model", decode::CollectiveTiming::kernel_model}}};
constexpr std::array<Named<decode::Gathering>, 2> kGatherings = {
    {{"whole", decode::Gathering::whole}, {"per_message", decode::Gathering::per_message}}};
constexpr std::array<Named<decode::Routing>, 3> kRoutings = {
    {{"round_robin", decode::Routing::round_robin},
     {"least_load", decode::Routing::least_load},
     {"least_kv", decode::Routing::least_kv}}};
constexpr std::array<Named<decode::NetworkModel>, 2> kNetworkModels = {
    {{"ports", decode::NetworkModel::ports}, {"max_min_fair", decode::NetworkModel::max_min_fair}}};
constexpr std::array<Named<decode::Workload::Kind>, 3> kWorkloads = {
    {{"closed_loop", decode::Workload::Kind::closed_loop},
     {"poisson", decode::Workload::Kind::poisson},
     {"trace", decode::Workload::Kind::trace}}};
constexpr std::array<Named<decode::LengthDistribution::Kind>, 3> kLengths = {
    {{"fixed", decode::LengthDistribution::Kind::fixed},
     {"uniform", decode::LengthDistribution::Kind::uniform},
     {"lognormal", decode::LengthDistribution::Kind::lognormal}}};
constexpr std::array<Named<decode::ExpertPopularity::Kind>, 3> kPopularities = {
    {{"uniform", decode::ExpertPopularity::Kind::uniform},
     {"power_law", decode::ExpertPopularity::Kind::power_law},
     {"shares", decode::ExpertPopularity::Kind::shares}}};

// A model or chip: a name, a path (from the scenario's folder) or the object itself.
template <typename Spec>
bool read_spec(const JsonNode& node, Spec& out, void (*read)(const JsonNode&, Spec&),
               Spec (*load)(const std::string&)) {
  if (node.is_object()) {
    read(node, out);
    return true;
  }
  std::string reference;
  if (!node.read(reference)) return false;
  try {
    out = load(reference_from(node.file(), reference));
    return true;
  } catch (const UserError& e) {
    node.error(e.what());
    return false;
  }
}

std::shared_ptr<const hw::KernelModel> read_kernels(JsonObject& pool, const hw::ChipSpec& chip,
                                                    std::optional<CalibrationDraw> draw) {
  KernelChoice choice;
  const auto model = pool.required("kernel_model");
  const auto preferred = pool.optional("prefer_kernels");
  if (!model || !model->read(choice.model)) return nullptr;
  const JsonNode* at = &*model;
  try {
    auto kernels = choose_kernels(choice, chip, model->file(), draw);
    if (!preferred) return kernels;
    at = &*preferred;
    read_preferred(*preferred, choice);
    return choose_kernels(choice, chip, model->file(), draw);
  } catch (const UserError& e) {
    at->error(e.what());
  }
  return nullptr;
}

// What a pool takes from its chip unless the scenario says otherwise.
template <typename T>
void or_from_chip(JsonObject& object, std::string_view key, T& out, const hw::Fact<T>& fact,
                  const hw::ChipSpec& chip) {
  if (const auto member = object.optional(key)) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      member->read(out, between(1, kMaxGpus));
    } else {
      member->read(out);
    }
  } else if (fact.value) {
    out = *fact.value;
  } else {
    object.node().error(fmt::format("\"{}\" is unknown for chip {}: give it here", key, chip.name));
  }
}

void read_pool(const JsonNode& node, std::string name, Deployment& d, bool holds_attention,
               bool holds_ffn, std::optional<CalibrationDraw> draw) {
  JsonObject object(node);
  Pool pool;
  pool.name = std::move(name);
  pool.roles = holds_attention && holds_ffn ? decode::kAllRoles
               : holds_attention            ? decode::Roles{decode::Role::attention}
                                            : decode::Roles{decode::Role::ffn};
  object.required("instances", pool.instances, between(1, kMaxGpus));
  object.required("gpus_per_instance", pool.gpus_per_instance, between(1, kMaxGpus));
  hw::ChipSpec chip;
  const auto chip_node = object.required("chip");
  if (chip_node && read_spec(*chip_node, chip, hw::read_chip, hw::load_chip)) {
    or_from_chip(object, "nic_bandwidth_GBps", pool.nic_bandwidth, chip.nic_bandwidth, chip);
    or_from_chip(object, "scale_up_bandwidth_GBps", pool.scale_up_bandwidth,
                 chip.scale_up_bandwidth, chip);
    or_from_chip(object, "gpus_per_node", pool.gpus_per_node, chip.chips_per_server, chip);
    if (const auto price = object.optional("price_USD_per_hour")) {
      UsdPerSecond rate;
      if (price->read(rate)) pool.price_per_gpu = rate;
    } else if (const hw::Price* listed = chip.price()) {
      pool.price_per_gpu = listed->rate;
    }
    pool.kernels = read_kernels(object, chip, draw);
  } else {
    for (const auto* key : {"nic_bandwidth_GBps", "scale_up_bandwidth_GBps", "gpus_per_node",
                            "price_USD_per_hour", "kernel_model", "prefer_kernels"}) {
      object.ignore(key);
    }
  }
  if (holds_attention) {
    object.optional("attention_tensor_parallel", d.attention_tensor_parallel, between(1, kMaxGpus));
    object.optional("output_parallel", d.output_parallel, between(1, kMaxGpus));
  }
  if (holds_ffn) {
    object.required("ffn_tensor_parallel", d.ffn_tensor_parallel, between(1, kMaxGpus));
    object.required("ffn_expert_parallel", d.ffn_expert_parallel, between(1, kMaxGpus));
    object.optional("redundant_experts", d.redundant_experts, between(0, kMaxGpus));
  }
  d.pools.push_back(std::move(pool));
}

void read_transport(const JsonNode& node, decode::Transport& out,
                    decode::NetworkModel* model = nullptr, net::Fabric* fabric = nullptr) {
  JsonObject object(node);
  object.required("overhead_us", out.overhead, at_least(0));
  object.required("efficiency", out.efficiency, positive(1.0));
  object.required("source", out.source);
  if (model != nullptr) {
    object.required("model", *model, std::span<const Named<decode::NetworkModel>>(kNetworkModels));
  }
  if (fabric == nullptr) return;
  if (const auto node_fabric = object.optional("fabric")) {
    JsonObject fields(*node_fabric);
    const auto count = [&](std::string_view key, int& value, double min) {
      std::int64_t number = 0;
      if (fields.required(key, number, between(min, 1e6))) value = static_cast<int>(number);
    };
    count("nodes_per_leaf", fabric->nodes_per_leaf, 1);
    count("spines", fabric->spines, 1);
    fields.required("oversubscription", fabric->oversubscription, between(1, 1000));
    fields.required("hop_latency_us", fabric->hop_latency, at_least(0));
  }
}

// One number format for all attention, where a deployment changes what the model ships with.
void read_attention_precision(const JsonNode& node, models::ModelSpec& model) {
  JsonObject object(node);
  if (object.optional("cache", model.cache, models::precision_names())) {
    for (auto& block : model.attentions) block.cache = model.cache;
  }
  if (object.optional("compute", model.attention_compute, models::precision_names())) {
    for (auto& block : model.attentions) block.compute = model.attention_compute;
  }
}

void read_deployment(const JsonNode& node, Deployment& d, std::optional<CalibrationDraw> draw) {
  JsonObject object(node);
  const auto names = decode::strategy_names();
  const auto strategy = object.required("strategy");
  const auto index = strategy ? strategy->read_choice(names) : std::nullopt;
  if (index) d.strategy = names[*index];
  object.required("micro_batches", d.micro_batches, between(1, 64));
  object.optional("replicas", d.replicas, between(1, 65536));
  object.optional("dispatch", d.dispatch, std::span<const Named<decode::Dispatch>>(kDispatches));
  object.optional("collectives", d.collectives,
                  std::span<const Named<decode::CollectiveTiming>>(kCollectives));
  object.optional("gathering", d.gathering, std::span<const Named<decode::Gathering>>(kGatherings));
  object.optional("scale_up_overlaps_compute", d.scale_up_overlaps_compute);
  object.optional("step_overhead_us", d.step_overhead, at_least(0));
  if (const auto precision = object.optional("attention_precision")) {
    read_attention_precision(*precision, d.model);
  }
  if (const auto drafting = object.optional("drafting")) {
    JsonObject fields(*drafting);
    fields.required("tokens", d.drafting.tokens, between(0, 64));
    fields.required("acceptance", d.drafting.acceptance, between(0, 1));
  }
  if (const auto pools = object.required("pools")) {
    JsonObject by_name(*pools);
    if (const auto all = by_name.optional("gpus")) {
      read_pool(*all, "gpus", d, true, true, draw);
    } else {
      if (const auto attention = by_name.required("attention")) {
        read_pool(*attention, "attention", d, true, false, draw);
      }
      if (const auto ffn = by_name.required("ffn")) read_pool(*ffn, "ffn", d, false, true, draw);
    }
  }
}

void read_lengths(const JsonNode& node, decode::LengthDistribution& out) {
  using Kind = decode::LengthDistribution::Kind;
  JsonObject object(node);
  if (!object.required("kind", out.kind, std::span<const Named<Kind>>(kLengths))) return;
  constexpr double kMaxTokens = 1e9;
  if (out.kind != Kind::uniform) {
    object.required(out.kind == Kind::fixed ? "tokens" : "median_tokens", out.tokens,
                    between(1, kMaxTokens));
  }
  if (out.kind != Kind::fixed) {
    object.required("min_tokens", out.min, between(1, kMaxTokens));
    object.required("max_tokens", out.max, between(1, kMaxTokens));
    if (out.max < out.min) node.error("max_tokens is below min_tokens");
  }
  if (out.kind == Kind::lognormal) object.required("sigma", out.sigma, between(0, 10));
}

void read_workload(const JsonNode& node, decode::Workload& out) {
  using Kind = decode::Workload::Kind;
  JsonObject object(node);
  if (!object.required("kind", out.kind, std::span<const Named<Kind>>(kWorkloads))) {
    for (const auto& member : node.is_object() ? node.members() : decltype(node.members()){}) {
      object.ignore(member.first);
    }
    return;
  }
  if (out.kind == Kind::trace) {
    read_trace(object, out.trace);
    return;
  }
  if (const auto context = object.required("context")) read_lengths(*context, out.context);
  if (out.kind == Kind::closed_loop) {
    object.required("requests_per_gpu", out.requests_per_gpu, between(1, 1e6));
    object.optional("steady", out.steady);
  } else {
    object.required("requests_per_s", out.requests_per_second, positive(1e9));
  }
  if (!out.steady) {
    if (const auto output = object.required("output")) read_lengths(*output, out.output);
  }
}

void read_admission(const JsonNode& node, decode::Admission& out) {
  JsonObject object(node);
  object.optional("routing", out.routing, std::span<const Named<decode::Routing>>(kRoutings));
  object.optional("max_requests_per_gpu", out.max_requests_per_gpu, between(1, 1e6));
  object.optional("page_tokens", out.page_tokens, between(1, 1e6));
  object.optional("memory_utilization", out.memory_utilization, positive(1.0));
}

template <typename Slow>
void read_slow(const JsonNode& node, const Deployment& d, std::vector<Slow>& out) {
  for (const JsonNode& element : node.elements()) {
    JsonObject object(element);
    Slow slow;
    std::vector<std::string> pools;
    for (const Pool& pool : d.pools) pools.push_back(pool.name);
    const auto pool_node = object.required("pool");
    const auto pool = pool_node ? pool_node->read_choice(pools) : std::nullopt;
    slow.pool = static_cast<std::uint32_t>(pool.value_or(0));
    const auto index = [&](std::string_view key, std::uint32_t& value, std::int64_t count) {
      std::int64_t number = 0;
      if (object.required(key, number, between(0, static_cast<double>(count - 1)))) {
        value = static_cast<std::uint32_t>(number);
      }
    };
    const Pool* chosen = pool ? &d.pools[*pool] : nullptr;
    index("instance", slow.instance, chosen ? chosen->instances : 1);
    if constexpr (requires { slow.gpu; }) {
      index("gpu", slow.gpu, chosen ? chosen->gpus_per_instance : 1);
    }
    object.required("factor", slow.factor, between(1, 1000));
    out.push_back(slow);
  }
}

void read_shares(const JsonNode& node, const models::ModelSpec& model, std::vector<double>& out) {
  for (const JsonNode& share : node.elements()) share.read(out.emplace_back(), at_least(0));
  for (const auto& block : model.ffns) {
    const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
    if (moe != nullptr && out.size() != static_cast<std::size_t>(moe->experts)) {
      node.error(fmt::format("expected one share for each of the {} experts of \"{}\", got {}",
                             moe->experts, block.name, out.size()));
    }
  }
  if (std::none_of(out.begin(), out.end(), [](double share) { return share > 0.0; })) {
    node.error("expected at least one share above 0");
  }
}

void read_experts(const JsonNode& node, const models::ModelSpec& model,
                  decode::ExpertPopularity& out) {
  using Kind = decode::ExpertPopularity::Kind;
  JsonObject object(node);
  if (!object.required("popularity", out.kind, std::span<const Named<Kind>>(kPopularities))) return;
  if (out.kind == Kind::power_law) object.required("exponent", out.exponent, between(0, 10));
  if (out.kind != Kind::shares) return;
  const auto shares = object.required("shares");
  if (!shares) return;
  std::string reference;
  if (!shares->is_string()) {
    read_shares(*shares, model, out.shares);
  } else if (shares->read(reference)) {
    try {
      const auto path = std::filesystem::path(shares->file()).parent_path() / reference;
      const JsonDocument document = JsonDocument::read(path);
      const JsonContext context{.file = document.name(),
                                .diagnostics = shares->context().diagnostics};
      read_shares(JsonNode(document.json(), context), model, out.shares);
    } catch (const UserError& e) {
      shares->error(e.what());
    }
  }
}

void read_noise(const JsonNode& node, const Deployment& d, decode::Noise& out) {
  JsonObject object(node);
  object.optional("kernel_jitter", out.kernel_jitter, between(0, 2));
  object.optional("network_jitter", out.network_jitter, between(0, 2));
  if (const auto slow = object.optional("slow_gpus")) read_slow(*slow, d, out.slow_gpus);
  if (const auto slow = object.optional("slow_links")) read_slow(*slow, d, out.slow_links);
  if (const auto experts = object.optional("experts")) read_experts(*experts, d.model, out.experts);
}

void read_measurement(const JsonNode& node, bool closed_loop, decode::Measurement& out) {
  JsonObject object(node);
  if (closed_loop) {
    object.required("warmup_steps", out.warmup_steps, between(0, 1e6));
    object.required("steps", out.steps, between(1, 1e6));
  } else {
    object.required("warmup_s", out.warmup, at_least(0));
    object.required("duration_s", out.duration, positive(1e6));
  }
}

}  // namespace

void read_possible_simulation(const JsonNode& node, SimulationScenario& out,
                              std::optional<CalibrationDraw> draw) {
  JsonObject object(node);
  object.ignore("$schema");
  object.ignore("comment");
  require_kind(object, "simulate");
  object.required("title", out.title);
  auto& in = out.input;
  Deployment& d = in.deployment;
  if (const auto model = object.required("model")) {
    read_spec(*model, d.model, models::read_model, models::load_model);
  }
  if (const auto deployment = object.required("deployment")) read_deployment(*deployment, d, draw);
  if (const auto network = object.required("network")) {
    read_transport(*network, d.network, &in.network_model, &d.fabric);
  }
  if (const auto scale_up = object.required("scale_up")) read_transport(*scale_up, d.scale_up);
  if (const auto workload = object.required("workload")) read_workload(*workload, in.workload);
  if (const auto admission = object.optional("admission")) read_admission(*admission, in.admission);
  if (const auto noise = object.optional("noise")) read_noise(*noise, d, in.noise);
  if (const auto measurement = object.required("measurement")) {
    read_measurement(*measurement, in.workload.kind == decode::Workload::Kind::closed_loop,
                     in.measurement);
  }
  Seconds tpot;
  if (object.optional("sla_tpot_ms", tpot)) out.sla_tpot = tpot;
  std::int64_t seed = 1;
  if (object.optional("seed", seed, at_least(0))) in.seed = static_cast<std::uint64_t>(seed);
}

void read_simulation(const JsonNode& node, SimulationScenario& out,
                     std::optional<CalibrationDraw> draw) {
  read_possible_simulation(node, out, draw);
  if (!node.context().diagnostics->ok()) return;
  for (const auto& problem : decode::deployment_problems(out.input.deployment)) {
    node.child("deployment").error(problem);
  }
}

SimulationScenario load_simulation(const std::string& name_or_path,
                                   std::optional<CalibrationDraw> draw) {
  const JsonDocument document = JsonDocument::read(scenario_path(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  SimulationScenario scenario;
  scenario.name = std::filesystem::path(document.name()).stem().string();
  read_simulation(JsonNode(document.json(), context), scenario, draw);
  diagnostics.throw_if_errors();
  return scenario;
}

}  // namespace ridge::scenario
