#include "ridge/scenario/simulation_scenario.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/scenario/requests.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <type_traits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::scenario {

decode::LengthDistribution distribution_of(const Lengths& lengths) {
  using Kind = decode::LengthDistribution::Kind;
  if (const auto* fixed = std::get_if<FixedLength>(&lengths)) {
    return {.kind = Kind::fixed, .tokens = fixed->tokens};
  }
  if (const auto* uniform = std::get_if<UniformLength>(&lengths)) {
    return {.kind = Kind::uniform, .min = uniform->min, .max = uniform->max};
  }
  const auto& lognormal = std::get<LognormalLength>(lengths);
  return {.kind = Kind::lognormal,
          .tokens = lognormal.median,
          .sigma = lognormal.sigma,
          .min = lognormal.min,
          .max = lognormal.max};
}

namespace {

class Resolver {
 public:
  Resolver(const LocatedScenario& located, Library& library, Diagnostics& diagnostics,
           std::optional<CalibrationDraw> draw)
      : located_(located),
        library_(library),
        diagnostics_(diagnostics),
        draw_(draw),
        whole_(diagnostics.ok()) {}

  SimulationScenario run() {
    const Scenario& scenario = located_.scenario;
    SimulationScenario out;
    out.name = std::filesystem::path(located_.file).stem().string();
    out.title = scenario.title;
    decode::SimulationInput& in = out.input;
    find(scenario.model, "/model", in.deployment.model,
         [&](const std::string& name) { return library_.model(name); });
    deployment(scenario.deployment, in.deployment);
    network(scenario, in);
    check_links(scenario);
    std::visit([&](const auto& kind) { workload(kind, in.workload, out.warnings); },
               scenario.workload);
    admission(scenario, in.admission);
    noise(scenario.noise, in.deployment, in.noise);
    measurement(scenario.measurement, in.measurement);
    out.sla = scenario.sla;
    if (scenario.ranges) {
      // That they read well; only intervals draw from them.
      (void)library_.ranges(scenario.ranges, located_.file, located_.pointer + "/ranges",
                            diagnostics_);
    }
    in.seed = scenario.seed;
    // What its draws say is what it says itself.
    if (diagnostics_.ok() && !draw_) warn_of_others_in_vain(scenario, in.deployment, out.warnings);
    return out;
  }

 private:
  // Families of other kernels that no layer asks of their pool. Exchanges are none of a layer's:
  // they are asked for by what a strategy does between layers.
  void warn_of_others_in_vain(const Scenario& scenario, const decode::Deployment& d,
                              std::vector<std::string>& warnings) {
    const auto* split = std::get_if<SplitPools>(&scenario.deployment.pools);
    for (const decode::Pool& pool : d.pools) {
      const Pool& asked = split == nullptr ? std::get<WholePool>(scenario.deployment.pools).gpus
                          : pool.roles.has(decode::Role::attention) ? split->attention
                                                                    : split->ffn;
      if (asked.other_kernels.empty()) continue;
      const models::OperatorList operators = operators_of(pool.roles, d);
      const auto error_by = [&](std::vector<hw::calibrated::Family> others) {
        const auto kernels =
            library_.kernels({asked.kernel_model, asked.prefer_kernels, {}, std::move(others)},
                             pool.kernels->chip(), located_.file);
        std::vector<double> errors;
        for (const models::Operator& op : operators) errors.push_back(kernels->time(op).error);
        return errors;
      };
      const std::vector<double> without = error_by({});
      for (const hw::calibrated::Family family : asked.other_kernels) {
        if (is_exchange(family) || error_by({family}) != without) continue;
        warnings.push_back(fmt::format(
            "{}: {}/deployment/pools/{}/other_kernels: no layer of the model asks these GPUs for "
            "{}: without effect",
            located_.file, located_.pointer, pool.name, name_of(family)));
      }
    }
  }

  static bool is_exchange(hw::calibrated::Family family) {
    using Family = hw::calibrated::Family;
    constexpr std::array kExchanges = {Family::all_reduce,      Family::all_gather,
                                       Family::reduce_scatter,  Family::all_to_all,
                                       Family::expert_dispatch, Family::expert_combine};
    return std::find(kExchanges.begin(), kExchanges.end(), family) != kExchanges.end();
  }

  // What layers ask of a pool, of a few tokens.
  static models::OperatorList operators_of(decode::Roles roles, const decode::Deployment& d) {
    constexpr models::DecodeShape kSome{.sequences = 8.0, .context = 1024.0};
    models::OperatorList out;
    if (roles.has(decode::Role::attention)) {
      for (const auto& block : d.model.attentions) {
        models::attention_operators(block, d.model.precisions, d.model.hidden, kSome,
                                    {.tensor_parallel = d.attention_tensor_parallel,
                                     .output_parallel = d.output_parallel,
                                     .context_parallel = d.context_parallel},
                                    models::MlaCount::absorbed, out);
      }
    }
    if (roles.has(decode::Role::ffn)) {
      for (const auto& block : d.model.ffns) {
        models::ffn_operators(block, d.model.precisions, d.model.hidden,
                              kSome.tokens() * static_cast<double>(d.ffn_expert_parallel),
                              {.tensor_parallel = d.ffn_tensor_parallel,
                               .expert_parallel = d.ffn_expert_parallel,
                               .own_tokens = 1.0 / static_cast<double>(d.ffn_expert_parallel)},
                              out);
      }
    }
    return out;
  }

  void error(std::string_view pointer, std::string_view message) {
    diagnostics_.error(located_.file, fmt::format("{}{}", located_.pointer, pointer), message);
  }

  // What `what` reads, or nothing and its mistake at `pointer`.
  template <typename Read>
  auto tried(std::string_view pointer, Read&& read) -> decltype(read()) {
    try {
      return read();
    } catch (const UserError& e) {
      error(pointer, e.what());
      return {};
    }
  }

  template <typename Spec, typename Load>
  bool find(const Reference<Spec>& reference, std::string_view pointer, Spec& out, Load&& load) {
    if (reference.spec) {
      out = *reference.spec;
      return true;
    }
    if (!whole_ && reference.name.empty()) return false;
    const auto found =
        tried(pointer, [&] { return load(reference_from(located_.file, reference.name)); });
    if (found) out = *found;
    return found != nullptr;
  }

  // What a pool takes from its chip unless the scenario says otherwise.
  template <typename T>
  void or_from_chip(const std::string& pointer, std::string_view key, const std::optional<T>& given,
                    const hw::Fact<T>& fact, const hw::ChipSpec& chip, T& out) {
    if (given) {
      out = *given;
    } else if (fact.value) {
      out = *fact.value;
    } else {
      error(pointer, fmt::format("\"{}\" is unknown for chip {}: give it here", key, chip.name));
    }
  }

  void pool(const Pool& asked, std::string name, decode::Roles roles, decode::Deployment& out) {
    const std::string pointer = "/deployment/pools/" + name;
    decode::Pool& pool = out.pools.emplace_back();
    pool.name = std::move(name);
    pool.roles = roles;
    pool.instances = asked.instances;
    pool.gpus_per_instance = asked.gpus_per_instance;
    hw::ChipSpec chip;
    if (!find(asked.chip, pointer + "/chip", chip,
              [&](const std::string& reference) { return library_.chip(reference); })) {
      return;
    }
    or_from_chip(pointer, "nic_bandwidth_GBps", asked.nic_bandwidth, chip.nic_bandwidth, chip,
                 pool.nic_bandwidth);
    or_from_chip(pointer, "scale_up_bandwidth_GBps", asked.scale_up_bandwidth,
                 chip.scale_up_bandwidth, chip, pool.scale_up_bandwidth);
    or_from_chip(pointer, "gpus_per_node", asked.gpus_per_node, chip.chips_per_server, chip,
                 pool.gpus_per_node);
    if (asked.price) {
      pool.price_per_gpu = asked.price;
    } else if (const hw::Price* listed = chip.price()) {
      pool.price_per_gpu = listed->rate;
    }
    pool.memory_reserve = asked.memory_reserve;
    const hw::ChipSpec as_shipped = chip;
    // What the scenario says of the links, the kernel model's collectives go by too.
    chip.nic_bandwidth.value = pool.nic_bandwidth;
    chip.scale_up_bandwidth.value = pool.scale_up_bandwidth;
    chip.chips_per_server.value = pool.gpus_per_node;
    if (const std::int64_t taken = asked.communication_units; taken > 0) {
      const auto& all = chip.compute_units.value;
      if (!all || taken >= *all) {
        error(pointer + "/communication_units",
              all ? fmt::format("expected fewer than the {} compute units of {}, got {}", *all,
                                chip.name, taken)
                  : fmt::format("\"compute_units\" is unknown for chip {}: expected 0", chip.name));
        return;
      }
      pool.communication_units = taken;
      chip = hw::with_compute_units(std::move(chip), *all - taken);
    }
    if (!whole_ && asked.kernel_model.empty()) return;
    using Families = std::vector<hw::calibrated::Family>;
    const auto kernels = [&](const std::vector<std::string>& preferred, const Families& others) {
      return std::shared_ptr<const hw::KernelModel>(
          library_.kernels({asked.kernel_model, preferred, asked.assumed_kernels, others}, chip,
                           located_.file, draw_, &as_shipped));
    };
    pool.kernels = tried(pointer + "/kernel_model", [&] { return kernels({}, {}); });
    if (pool.kernels && !asked.prefer_kernels.empty()) {
      pool.kernels =
          tried(pointer + "/prefer_kernels", [&] { return kernels(asked.prefer_kernels, {}); });
    }
    if (pool.kernels && !asked.other_kernels.empty()) {
      pool.kernels = tried(pointer + "/other_kernels",
                           [&] { return kernels(asked.prefer_kernels, asked.other_kernels); });
    }
  }

  static void attention_part(const Pool& asked, decode::Deployment& out) {
    out.attention_tensor_parallel = asked.attention_tensor_parallel;
    out.context_parallel = asked.context_parallel;
    out.output_parallel = asked.output_parallel;
  }
  static void ffn_part(const Pool& asked, decode::Deployment& out) {
    out.ffn_tensor_parallel = asked.ffn_tensor_parallel;
    out.ffn_expert_parallel = asked.ffn_expert_parallel;
    out.redundant_experts = asked.redundant_experts;
  }

  void deployment(const Deployment& asked, decode::Deployment& out) {
    out.strategy = asked.strategy;
    out.micro_batches = asked.micro_batches;
    out.replicas = asked.replicas;
    out.dispatch = asked.dispatch;
    out.collectives = asked.collectives;
    out.gathering = asked.gathering;
    out.exchange = asked.exchange;
    out.schedule = asked.schedule;
    out.scale_up_overlaps_compute = asked.scale_up_overlaps_compute;
    out.step_overhead = asked.step_overhead.value_or(Seconds{});
    out.execution = asked.execution;
    if (asked.attention_precision) precision(*asked.attention_precision, out.model);
    if (asked.drafting) {
      out.drafting = {.tokens = asked.drafting->tokens,
                      .acceptance = asked.drafting->acceptance_by_position};
      out.drafting.acceptance.push_back(asked.drafting->acceptance);
      if (asked.drafting->draft_model && whole_) draft_model(*asked.drafting->draft_model, out);
    }
    if (const auto* whole = std::get_if<WholePool>(&asked.pools)) {
      pool(whole->gpus, "gpus", decode::kAllRoles, out);
      attention_part(whole->gpus, out);
      ffn_part(whole->gpus, out);
    } else {
      const auto& split = std::get<SplitPools>(asked.pools);
      pool(split.attention, "attention", {decode::Role::attention}, out);
      attention_part(split.attention, out);
      pool(split.ffn, "ffn", {decode::Role::ffn}, out);
      ffn_part(split.ffn, out);
    }
  }

  void draft_model(const DraftModel& asked, decode::Deployment& out) {
    const auto index = [&](const auto& blocks, const std::string& name, std::string_view key) {
      std::vector<std::string> names;
      for (const auto& block : blocks) names.push_back(block.name);
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) {
        error(fmt::format("/deployment/drafting/draft_model/{}", key),
              fmt::format("expected one of {}, got \"{}\"{}", fmt::join(names, ", "), name,
                          did_you_mean(name, names)));
        return std::size_t{0};
      }
      return static_cast<std::size_t>(found - names.begin());
    };
    out.drafting.own_layers = true;
    out.drafting.layers = asked.layers;
    out.model.mtp = {
        .modules = 1,
        .layer = {.attention = index(out.model.attentions, asked.attention, "attention"),
                  .ffn = index(out.model.ffns, asked.ffn, "ffn")},
        .named = {asked.attention, asked.ffn}};
  }

  // One number format for all attention.
  static void precision(const AttentionPrecision& asked, models::ModelSpec& model) {
    if (asked.cache) {
      model.cache = *asked.cache;
      for (auto& block : model.attentions) block.cache = model.cache;
    }
    if (asked.compute) {
      model.attention_compute = *asked.compute;
      for (auto& block : model.attentions) block.compute = model.attention_compute;
    }
  }

  static void network(const Scenario& scenario, decode::SimulationInput& out) {
    out.network_model = scenario.network.model;
    out.deployment.message_path = scenario.network.path;
    out.deployment.network = {.transport = scenario.network.wire.transport(),
                              .copies = scenario.network.copies,
                              .nodes_per_token = scenario.network.nodes_per_token.value_or(0),
                              .all_reduce = scenario.network.all_reduce};
    out.deployment.scale_up = {.transport = scenario.scale_up.wire.transport(),
                               .in_switch_reduction = scenario.scale_up.in_switch_reduction};
    if (scenario.network.fabric) out.deployment.fabric = *scenario.network.fabric;
  }

  static constexpr std::string_view kNoMessages =
      "of no effect where no pool sends messages to another, as in \"afd\"";

  // What a deployment has no use for is refused, so that it is not taken for granted.
  void check_links(const Scenario& scenario) {
    check_path(scenario);
    check_timed_collectives(scenario);
    check_execution(scenario.deployment.execution);
    check_sums(scenario);
    check_copies(scenario);
    check_exchange(scenario);
    if (is_whole(scenario)) check_one_pool(scenario);
  }

  static bool is_whole(const Scenario& scenario) {
    return std::holds_alternative<WholePool>(scenario.deployment.pools);
  }

  static bool is_wide(const Scenario& scenario) {
    return scenario.deployment.strategy == "wide_expert_parallel";
  }

  void expect_neutral(std::string_view pointer, const Wire& asked, std::string_view why) {
    if (asked.overhead.value_or(Seconds{}) != Seconds{}) {
      error(fmt::format("{}/overhead_us", pointer), fmt::format("{}: expected 0", why));
    }
    if (asked.efficiency.value_or(1.0) != 1.0) {
      error(fmt::format("{}/efficiency", pointer), fmt::format("{}: expected 1", why));
    }
  }

  void check_path(const Scenario& scenario) {
    if (scenario.network.path != decode::MessagePath::scale_up) return;
    if (is_whole(scenario)) {
      error("/network/path", fmt::format("{}: expected \"nics\"", kNoMessages));
    }
    expect_neutral("/network", scenario.network.wire,
                   "of no effect where messages go over \"scale_up\"");
    if (scenario.network.fabric) {
      error("/network/fabric", "one switch joins a scale-up domain: expected none");
    }
  }

  void check_timed_collectives(const Scenario& scenario) {
    if (scenario.deployment.collectives != decode::CollectiveTiming::kernel_model) return;
    constexpr std::string_view kWhy =
        "of no effect where \"collectives\" are timed by the \"kernel_model\"";
    if (scenario.network.path != decode::MessagePath::scale_up) {
      expect_neutral("/scale_up", scenario.scale_up.wire, kWhy);
    }
    if (scenario.scale_up.in_switch_reduction) {
      error("/scale_up/in_switch_reduction", fmt::format("{}: expected false", kWhy));
    }
    if (!is_whole(scenario)) return;
    expect_neutral("/network", scenario.network.wire, kWhy);
    if (scenario.network.copies != decode::Copies::per_expert) {
      error("/network/copies", fmt::format("{}: expected \"per_expert\"", kWhy));
    }
  }

  void check_execution(const decode::Execution& execution) {
    if (execution.norm_in_all_reduce != Seconds{} && !execution.all_reduce_with_norm) {
      error("/deployment/execution/norm_in_all_reduce_us",
            "of no effect without \"all_reduce_with_norm\": expected 0");
    }
    const auto& batches = execution.captured_batches;
    if (std::adjacent_find(batches.begin(), batches.end(), std::greater_equal<>()) !=
        batches.end()) {
      error("/deployment/execution/captured_batches", "expected each to be larger than the last");
    }
  }

  void check_sums(const Scenario& scenario) {
    const auto& ways = scenario.network.all_reduce;
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const std::string_view wrong = decode::problem_of(ways[i]);
      if (!wrong.empty()) error(fmt::format("/network/all_reduce/{}", i), wrong);
    }
    if (ways.empty()) return;
    if (scenario.deployment.strategy != "tensor_parallel") {
      error("/network/all_reduce", "of no effect but in \"tensor_parallel\": expected none");
      return;
    }
    constexpr std::string_view kWhy = "of no effect beside \"all_reduce\" of the network";
    expect_neutral("/scale_up", scenario.scale_up.wire, kWhy);
    expect_neutral("/network", scenario.network.wire, kWhy);
  }

  void check_copies(const Scenario& scenario) {
    const bool wide = is_wide(scenario);
    const decode::Copies copies = scenario.network.copies;
    if (copies != decode::Copies::per_expert && !wide) {
      error("/network/copies",
            "of no effect but in \"wide_expert_parallel\": expected \"per_expert\"");
    }
    if (scenario.deployment.execution.exchanges_by_nics) {
      if (!wide) {
        error("/deployment/execution/exchanges_by_nics",
              "of no effect but in \"wide_expert_parallel\": expected false");
      } else if (copies != decode::Copies::per_expert) {
        error("/network/copies",
              "of no effect beside \"exchanges_by_nics\": expected \"per_expert\"");
      }
    }
    if (scenario.network.nodes_per_token && copies != decode::Copies::per_node) {
      error("/network/nodes_per_token", "of no effect unless \"copies\" are \"per_node\"");
    }
  }

  void check_exchange(const Scenario& scenario) {
    if (!gathers(scenario.deployment.exchange)) return;
    if (!is_wide(scenario)) {
      error("/deployment/exchange",
            "of no effect but in \"wide_expert_parallel\": expected \"all_to_all\"");
      return;
    }
    constexpr std::string_view kWhy = "of no effect where \"exchange\" gathers all tokens";
    const decode::Execution& execution = scenario.deployment.execution;
    if (execution.exchange_kernels) {
      error("/deployment/execution/exchange_kernels", fmt::format("{}: expected none", kWhy));
    }
    if (execution.exchanges_by_nics) {
      error("/deployment/execution/exchanges_by_nics", fmt::format("{}: expected false", kWhy));
    }
    if (scenario.network.copies != decode::Copies::per_expert) {
      error("/network/copies", fmt::format("{}: expected \"per_expert\"", kWhy));
    }
  }

  void check_one_pool(const Scenario& scenario) {
    if (scenario.deployment.dispatch != decode::Dispatch::broadcast) {
      error("/deployment/dispatch", "of no effect but in \"afd\": expected \"broadcast\"");
    }
    if (scenario.deployment.gathering != decode::Gathering::whole) {
      error("/deployment/gathering", "of no effect but in \"afd\": expected \"whole\"");
    }
    if (scenario.network.model != decode::NetworkModel::ports) {
      error("/network/model", fmt::format("{}: expected \"ports\"", kNoMessages));
    }
    if (scenario.network.fabric) {
      error("/network/fabric", fmt::format("{}: expected none", kNoMessages));
    }
  }

  void workload(const ClosedLoop& asked, decode::Workload& out,
                std::vector<std::string>& /*warnings*/) {
    out.kind = decode::Workload::Kind::closed_loop;
    out.requests_per_gpu = asked.requests_per_gpu.value_or(0);
    out.requests_per_group = asked.requests_per_group.value_or(0);
    out.requests = asked.requests.value_or(0);
    out.steady = asked.steady;
    out.context = distribution_of(asked.context);
    out.longest_context = asked.longest_context.value_or(0);
    if (const std::int64_t drawn = out.context.largest();
        asked.longest_context && *asked.longest_context < drawn) {
      error("/workload/longest_context_tokens",
            fmt::format("expected at least the {} tokens of \"context\", got {}", drawn,
                        *asked.longest_context));
    }
    if (!asked.steady) out.output = distribution_of(asked.output);
  }
  void workload(const Poisson& asked, decode::Workload& out,
                std::vector<std::string>& /*warnings*/) {
    out.kind = decode::Workload::Kind::poisson;
    out.requests_per_second = asked.requests_per_second;
    out.context = distribution_of(asked.context);
    out.output = distribution_of(asked.output);
  }
  void workload(const Trace& asked, decode::Workload& out, std::vector<std::string>& warnings) {
    out.kind = decode::Workload::Kind::trace;
    if (!whole_ && asked.file.empty()) return;
    const auto path = std::filesystem::path(located_.file).parent_path() / asked.file;
    const auto trace =
        tried("/workload/file", [&] { return library_.trace(path.string(), asked); });
    if (!trace) return;
    out.trace = trace->requests;
    warnings.insert(warnings.end(), trace->notes.begin(), trace->notes.end());
  }

  void admission(const Scenario& scenario, decode::Admission& out) {
    const Admission& asked = scenario.admission;
    out.routing = asked.routing;
    out.policy = asked.policy;
    out.max_requests_per_gpu = asked.max_requests_per_gpu.value_or(0);
    out.page_tokens = asked.page_tokens;
    out.memory_utilization = asked.memory_utilization;
    out.profile = asked.profile;
    if (!asked.profile) return;
    const auto* split = std::get_if<SplitPools>(&scenario.deployment.pools);
    const auto* whole = std::get_if<WholePool>(&scenario.deployment.pools);
    const bool stated = split != nullptr
                            ? split->attention.memory_reserve && split->ffn.memory_reserve
                            : whole->gpus.memory_reserve.has_value();
    if (stated) {
      error("/admission/profile", "of no effect beside \"memory_reserve_GB\": expected none");
    }
  }

  // The number of a pool, and of an instance or GPU in it.
  std::optional<std::uint32_t> pool_of(const std::string& name, const std::string& pointer,
                                       const decode::Deployment& d) {
    std::vector<std::string> names;
    for (const auto& pool : d.pools) names.push_back(pool.name);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<std::uint32_t>(found - names.begin());
    error(pointer + "/pool", fmt::format("expected one of {}, got \"{}\"{}", fmt::join(names, ", "),
                                         name, did_you_mean(name, names)));
    return std::nullopt;
  }
  std::uint32_t index_of(std::int64_t index, std::int64_t count, const std::string& pointer) {
    if (index >= count) {
      error(pointer, fmt::format("expected a whole number from 0 to {}, got {}", count - 1, index));
    }
    return static_cast<std::uint32_t>(index);
  }

  void noise(const Noise& asked, const decode::Deployment& d, decode::Noise& out) {
    if (!whole_) return;  // its pools and experts may not be those that were meant
    out.kernel_jitter = asked.kernel_jitter;
    out.network_jitter = asked.network_jitter;
    for (std::size_t i = 0; i < asked.slow_gpus.size(); ++i) {
      const SlowGpu& slow = asked.slow_gpus[i];
      const std::string pointer = fmt::format("/noise/slow_gpus/{}", i);
      const auto pool = pool_of(slow.pool, pointer, d);
      if (!pool) continue;
      out.slow_gpus.push_back(
          {.pool = *pool,
           .instance = index_of(slow.instance, d.pools[*pool].instances, pointer + "/instance"),
           .gpu = index_of(slow.gpu, d.pools[*pool].gpus_per_instance, pointer + "/gpu"),
           .factor = slow.factor});
    }
    for (std::size_t i = 0; i < asked.slow_links.size(); ++i) {
      const SlowLink& slow = asked.slow_links[i];
      const std::string pointer = fmt::format("/noise/slow_links/{}", i);
      const auto pool = pool_of(slow.pool, pointer, d);
      if (!pool) continue;
      out.slow_links.push_back(
          {.pool = *pool,
           .instance = index_of(slow.instance, d.pools[*pool].instances, pointer + "/instance"),
           .factor = slow.factor});
    }
    out.experts.counts = asked.expert_rows;
    if (!asked.experts) return;
    std::visit([&](const auto& kind) { experts(kind, d.model, out.experts); }, *asked.experts);
  }

  void experts(const UniformExperts& /*asked*/, const models::ModelSpec& /*model*/,
               decode::ExpertPopularity& out) {
    out.kind = decode::ExpertPopularity::Kind::uniform;
  }
  void experts(const PowerLawExperts& asked, const models::ModelSpec& /*model*/,
               decode::ExpertPopularity& out) {
    out.kind = decode::ExpertPopularity::Kind::power_law;
    out.exponent = asked.exponent;
    out.balancer_error = asked.balancer_error;
  }
  void experts(const ExpertShares& asked, const models::ModelSpec& model,
               decode::ExpertPopularity& out) {
    out.kind = decode::ExpertPopularity::Kind::shares;
    if (const auto* shares = std::get_if<std::vector<double>>(&asked.shares)) {
      out.shares = *shares;
      check_shares(out.shares, model,
                   [&](const std::string& message) { error("/noise/experts/shares", message); });
      return;
    }
    const auto path =
        std::filesystem::path(located_.file).parent_path() / std::get<std::string>(asked.shares);
    const auto document =
        tried("/noise/experts/shares", [&] { return library_.document(path.string()); });
    if (!document) return;
    const JsonContext context{.file = document->name(), .diagnostics = &diagnostics_};
    const JsonNode node(document->json(), context);
    if (!keys::type_of<std::vector<double>>("", at_least(0))->read(node, &out.shares)) return;
    check_shares(out.shares, model, [&](const std::string& message) { node.error(message); });
  }

  template <typename Complain>
  static void check_shares(const std::vector<double>& shares, const models::ModelSpec& model,
                           Complain&& complain) {
    for (const auto& block : model.ffns) {
      const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
      if (moe != nullptr && shares.size() != static_cast<std::size_t>(moe->experts)) {
        complain(fmt::format("expected one share for each of the {} experts of \"{}\", got {}",
                             moe->experts, block.name, shares.size()));
      }
    }
    const auto live =
        std::count_if(shares.begin(), shares.end(), [](double share) { return share > 0.0; });
    if (live == 0) complain("expected at least one share above 0");
    for (const auto& block : model.ffns) {
      const auto* moe = std::get_if<models::MoeFfn>(&block.kind);
      if (moe != nullptr && live > 0 && live < moe->top_k) {
        complain(
            fmt::format("expected at least {} shares above 0, since each token chooses that "
                        "many different experts of \"{}\", got {}",
                        moe->top_k, block.name, live));
      }
    }
  }

  static void measurement(const Measurement& asked, decode::Measurement& out) {
    if (const auto* steps = std::get_if<MeasuredSteps>(&asked)) {
      out.warmup_steps = steps->warmup;
      out.steps = steps->steps;
    } else {
      const auto& time = std::get<MeasuredTime>(asked);
      out.warmup = time.warmup;
      out.duration = time.duration;
    }
  }

  const LocatedScenario& located_;
  Library& library_;
  Diagnostics& diagnostics_;
  std::optional<CalibrationDraw> draw_;
  bool whole_;  // the scenario read well; else only what it refers to is looked at
};

}  // namespace

LocatedScenario read_scenario(const std::string& name_or_path) {
  return read_scenario(JsonDocument::read(scenario_path(name_or_path)));
}

LocatedScenario read_scenario(const JsonDocument& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  LocatedScenario out{.file = document.name(), .pointer = {}, .scenario = {}};
  if (!read_keys(JsonNode(document.json(), context), out.scenario) || !diagnostics.ok()) {
    // What it refers to may be wrong too, and is told at once.
    Library library;
    (void)resolve(out, library, diagnostics);
    diagnostics.throw_if_errors();
  }
  return out;
}

SimulationScenario resolve(const LocatedScenario& located, Library& library,
                           Diagnostics& diagnostics, std::optional<CalibrationDraw> draw) {
  return Resolver(located, library, diagnostics, draw).run();
}

SimulationScenario resolve(const LocatedScenario& located, Library& library,
                           std::optional<CalibrationDraw> draw) {
  Diagnostics diagnostics;
  SimulationScenario out = resolve(located, library, diagnostics, draw);
  diagnostics.throw_if_errors();
  for (const auto& problem : decode::deployment_problems(out.input.deployment)) {
    diagnostics.error(located.file, located.pointer + "/deployment", problem);
  }
  diagnostics.throw_if_errors();
  return out;
}

UserError mistake_in(const LocatedScenario& located, const std::string& pointer,
                     const std::string& message) {
  const std::string place = located.pointer + pointer;
  const std::string where = place.empty() ? located.file : located.file + ": " + place;
  return {fmt::format("{}: {}", where, message), {{located.file, place, message}}};
}

UserError told_where_it_stands(const LocatedScenario& located, const UserError& error) {
  std::vector<Mistake> mistakes = error.mistakes();
  std::vector<std::string> lines;
  for (Mistake& mistake : mistakes) {
    if (mistake.file != decode::kScenario) return error;
    mistake.file = located.file;
    mistake.pointer.insert(0, located.pointer);
    lines.push_back(fmt::format("{}: {}: {}", mistake.file, mistake.pointer, mistake.message));
  }
  return {fmt::format("{}", fmt::join(lines, "\n")), std::move(mistakes)};
}

SimulationScenario load_simulation(const std::string& name_or_path, Library& library) {
  return resolve(read_scenario(name_or_path), library);
}
SimulationScenario load_simulation(const std::string& name_or_path) {
  Library library;
  return load_simulation(name_or_path, library);
}

}  // namespace ridge::scenario
