#include "ridge/decode/strategy.hpp"

#include "ridge/base/error.hpp"
#include "ridge/models/messages.hpp"
#include "strategies/strategies.hpp"

#include <array>
#include <limits>
#include <map>
#include <tuple>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

struct Strategy {
  std::string_view name;
  void (*check)(const Deployment&, Problems&);
  StepGraph (*compile)(const Deployment&, std::uint32_t drawn_layers);
  bool stages = false;  // cuts a step into stages (Task::stage)
};

constexpr std::array kStrategies = {
    Strategy{"afd", check_attention_ffn_disaggregation, compile_attention_ffn_disaggregation},
    Strategy{"wide_expert_parallel", check_wide_expert_parallel, compile_wide_expert_parallel,
             true},
    Strategy{"tensor_parallel", check_tensor_parallel, compile_tensor_parallel},
};

const Strategy& strategy_of(const Deployment& deployment) {
  for (const Strategy& strategy : kStrategies) {
    if (strategy.name == deployment.strategy) return strategy;
  }
  throw InvariantError("a deployment names a strategy that does not exist");
}

void require_divides(std::int64_t parts, std::int64_t whole, std::string_view parts_words,
                     std::string_view whole_words, Problems& problems) {
  if (whole % parts != 0) {
    problems.push_back(
        fmt::format("{} {} do not divide over {} {}", whole, whole_words, parts, parts_words));
  }
}

void check_heads(const Deployment& d, Problems& problems) {
  for (const auto& block : d.model.attentions) {
    require_divides(d.attention_tensor_parallel, models::split_heads(block),
                    "attention tensor-parallel GPUs", fmt::format("heads of \"{}\"", block.name),
                    problems);
  }
}

void check_context(const Deployment& d, Problems& problems) {
  if (d.context_parallel == 1) return;
  const Pool& pool = d.pool(Role::attention);
  if (d.context_parallel > pool.gpus_per_node) {
    problems.push_back(fmt::format(
        "decode_context_parallel {} crosses nodes of {} GPUs, within which its exchange "
        "is timed",
        d.context_parallel, pool.gpus_per_node));
  }
  for (const auto& block : d.model.attentions) {
    if (!models::splits_by_tokens(block)) {
      problems.push_back(
          fmt::format("decode_context_parallel splits what is cached by tokens, which \"{}\" "
                      "cannot: it keeps a state, or chooses among all tokens",
                      block.name));
      continue;
    }
    if (std::holds_alternative<models::NoAttention>(block.kind)) continue;
    const std::int64_t copies =
        d.attention_tensor_parallel / models::cache_ranks(block, d.attention_tensor_parallel);
    if (copies % d.context_parallel != 0) {
      problems.push_back(
          fmt::format("decode_context_parallel {} must divide the {} GPUs that hold the same cache "
                      "of \"{}\": attention_tensor_parallel {} over {} heads of it",
                      d.context_parallel, copies, block.name, d.attention_tensor_parallel,
                      models::cache_ranks(block, d.attention_tensor_parallel)));
    }
  }
}

void check_ffn(const Deployment& d, Problems& problems) {
  for (const auto& block : d.model.ffns) {
    if (const auto* moe = std::get_if<models::MoeFfn>(&block.kind)) {
      require_divides(
          d.ffn_expert_parallel, moe->experts + d.redundant_experts, "expert-parallel ranks",
          fmt::format("experts of \"{}\" (redundant copies included)", block.name), problems);
      require_divides(d.ffn_tensor_parallel, moe->expert_intermediate, "FFN tensor-parallel GPUs",
                      fmt::format("intermediate values of \"{}\"", block.name), problems);
    } else if (const auto* dense = std::get_if<models::DenseFfn>(&block.kind)) {
      require_divides(d.ffn_tensor_parallel, dense->intermediate, "FFN tensor-parallel GPUs",
                      fmt::format("intermediate values of \"{}\"", block.name), problems);
    }
  }
}

}  // namespace

std::vector<StepLayer> step_layers(const Deployment& d, std::uint32_t drawn_layers) {
  std::vector<StepLayer> layers;
  for (const auto& blocks : d.model.layer_sequence()) {
    layers.push_back({blocks, static_cast<std::uint32_t>(d.queries_per_step())});
  }
  // A draft is made of the one token that the step or the draft before it settled on.
  for (std::int64_t i = 0; i < d.drafting.tokens * d.drafting.layers; ++i) {
    layers.push_back({d.model.mtp.layer, 1});
  }
  std::map<std::tuple<std::size_t, std::uint32_t, std::uint32_t>, std::uint32_t> numbers;
  for (std::uint32_t number = 0; number < layers.size(); ++number) {
    StepLayer& layer = layers[number];
    const bool moe = std::holds_alternative<models::MoeFfn>(d.model.ffns[layer.blocks.ffn].kind);
    const std::tuple key(layer.blocks.ffn, layer.queries, moe ? number % drawn_layers : 0);
    layer.expert_layer =
        numbers.try_emplace(key, static_cast<std::uint32_t>(numbers.size())).first->second;
  }
  return layers;
}

double dispatch_bytes_per_token(const models::ModelSpec& model, const models::FfnBlock& ffn) {
  return models::dispatch_bytes(model, ffn).value();
}

double combine_bytes_per_token(const models::ModelSpec& model) {
  return models::combine_bytes(model).value();
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const Strategy& strategy : kStrategies) names.emplace_back(strategy.name);
  return names;
}

std::vector<std::string> deployment_problems(const Deployment& deployment) {
  Problems problems;
  const Pool& attention = deployment.pool(Role::attention);
  require_divides(deployment.attention_tensor_parallel, attention.gpus_per_instance,
                  "attention tensor-parallel GPUs",
                  fmt::format("GPUs of a \"{}\" instance", attention.name), problems);
  check_heads(deployment, problems);
  check_context(deployment, problems);
  check_ffn(deployment, problems);
  if (deployment.drafting.tokens > 0 && deployment.model.mtp.modules == 0) {
    problems.emplace_back(
        "drafted tokens need a multi-token-prediction module, which the model has none of, or a "
        "\"draft_model\" in \"drafting\"");
  }
  const Strategy& strategy = strategy_of(deployment);
  if (deployment.schedule && goes_by_stages(*deployment.schedule) && !strategy.stages) {
    problems.push_back(
        fmt::format("schedules \"staged\" and \"ping_pong\" are orders of "
                    "\"wide_expert_parallel\", not of \"{}\": \"cyclic\" is a fixed "
                    "order of all",
                    strategy.name));
  }
  strategy.check(deployment, problems);
  return problems;
}

std::uint32_t drawn_layers(const Deployment& deployment, const ExpertPopularity& experts) {
  constexpr std::uint32_t kDraws = 16;
  if (experts.kind != ExpertPopularity::Kind::uniform) {
    return std::numeric_limits<std::uint32_t>::max();
  }
  const bool drawn =
      experts.counts == ExpertPopularity::Counts::drawn && deployment.ffn_expert_parallel > 1;
  return drawn ? kDraws : 1;
}

StepGraph compile(const Deployment& deployment, std::uint32_t drawn_layers) {
  return strategy_of(deployment).compile(deployment, drawn_layers);
}

}  // namespace ridge::decode
