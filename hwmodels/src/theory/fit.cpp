#include "ridge/hwmodels/theory/fit.hpp"

#include "ridge/base/error.hpp"
#include "ridge/hwmodels/theory/sparsity.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::hw::theory {
namespace {

std::int64_t whole_servers(double cards, std::int64_t per_server) {
  return static_cast<std::int64_t>(std::ceil(cards / static_cast<double>(per_server) - 1e-9));
}

// The smallest known limit. At least one is known.
const FitLimit& least(const std::vector<FitLimit>& limits) {
  return *std::min_element(limits.begin(), limits.end(), [](const auto& a, const auto& b) {
    return a.batch.value_or(HUGE_VAL) < b.batch.value_or(HUGE_VAL);
  });
}

// To the FFN and back, in all layers.
Bytes wire_per_token(const models::ModelSpec& model, models::MessageCount count) {
  Bytes all;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    all += static_cast<double>(model.layers_with_ffn(i)) *
           (models::dispatch_bytes(model, model.ffns[i], count) + models::combine_bytes(model));
  }
  return all;
}

// Of a card's memory, for weights and cache.
Bytes usable_memory(Bytes memory, const FitAssumptions& assumptions) {
  return assumptions.memory_utilization * memory - assumptions.memory_reserve;
}

// What one card's attention asks for in all layers.
struct AttentionLoad {
  Bytes weights;       // read once per micro-batch
  Bytes cache;         // per sequence
  Seconds arithmetic;  // per sequence
};

AttentionLoad attention_load(const models::ModelSpec& model, const ChipSpec& chip,
                             const FitAssumptions& assumptions, std::int64_t output_parallel) {
  const models::DecodeShape shape{.sequences = 1.0, .context = assumptions.context};
  const models::AttentionShard shard{.tensor_parallel = 1, .output_parallel = output_parallel};
  AttentionLoad load;
  models::OperatorList operators;
  for (std::size_t i = 0; i < model.attentions.size(); ++i) {
    const auto layers = static_cast<double>(model.layers_with_attention(i));
    operators.clear();
    models::attention_operators(model.attentions[i], model.precisions, model.hidden, shape, shard,
                                models::MlaCount::absorbed, operators);
    for (const auto& op : operators) {
      if (op.part != models::Part::attention && op.part != models::Part::attention_linear) continue;
      const models::Demand d = models::demand(op);
      load.weights += layers * d.weights;
      load.cache += layers * (d.cache_read + d.cache_written);
      load.arithmetic += layers * (d.flop / *chip.rate_for(d.compute));
    }
  }
  return load;
}

void require_divisible(const models::ModelSpec& model, std::int64_t ranks,
                       const std::string& chip) {
  for (const auto& block : model.attentions) {
    models::OperatorList operators;
    models::attention_operators(block, model.precisions, model.hidden, {}, {},
                                models::MlaCount::absorbed, operators);
    for (const auto& op : operators) {
      const auto* gemm = std::get_if<models::Gemm>(&op.shape);
      if (op.name != "output" || gemm == nullptr || gemm->k % ranks == 0) continue;
      throw UserError(fmt::format(
          "{}: the output projection of attention \"{}\" ({} rows) does not split over {} cards of "
          "{}; choose another --output-parallel",
          model.name, block.name, gemm->k, ranks, chip));
    }
  }
}

}  // namespace

std::string missing_for_fit(const ChipSpec& chip) {
  if (!chip.memory_bandwidth.value) return "memory bandwidth unknown";
  if (!chip.rate_for(models::Precision::bf16)) return "matrix rate unknown";
  if (!chip.chips_per_server.value) return "chips per server unknown";
  return {};
}

AttentionFit fit_attention(const models::ModelSpec& model, const ChipSpec& chip,
                           const FitAssumptions& assumptions) {
  const auto layers = static_cast<double>(model.layers());
  const auto per_server = *chip.chips_per_server.value;
  const auto output_parallel = assumptions.output_parallel.value_or(per_server);
  require_divisible(model, output_parallel, chip.name);
  const Seconds stage = assumptions.stage_budget;
  const AttentionLoad load = attention_load(model, chip, assumptions, output_parallel);
  const Bytes readable = *chip.memory_bandwidth.value * stage;

  AttentionFit fit;
  fit.layer_budget = stage / layers;
  fit.bytes_in_budget = readable / layers;
  fit.weights_read = load.weights / layers;
  fit.cache_left = fit.bytes_in_budget - fit.weights_read;
  fit.cache_per_token = model.cache_bytes_per_token() / layers;
  fit.cached_tokens = std::max(fit.cache_left / fit.cache_per_token, 0.0);

  fit.limits.push_back({"memory bandwidth", (readable - load.weights) / load.cache});
  fit.limits.push_back({"arithmetic", stage / load.arithmetic});
  std::optional<double> capacity;
  if (chip.memory.value) {
    // Held, though not read by every token's attention: its server's share of the embedding table
    // and the LM head.
    const Bytes words =
        2.0 * static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden) *
            bytes_per_value(models::Precision::bf16) / static_cast<double>(per_server) +
        model.layer_input_parameters() * bytes_per_value(models::Precision::bf16);
    capacity =
        (usable_memory(*chip.memory.value, assumptions) - load.weights - words) /
        (static_cast<double>(assumptions.micro_batches) * model.cache_bytes(assumptions.context));
  }
  fit.limits.push_back({"memory capacity", capacity});
  std::optional<double> network;
  if (chip.nic_bandwidth.value) {
    network = *chip.nic_bandwidth.value * stage / wire_per_token(model, assumptions.messages);
  }
  fit.limits.push_back({"network", network});

  const FitLimit& tightest = least(fit.limits);
  fit.bound = tightest.resource;
  fit.batch = std::max(std::floor(*tightest.batch + 1e-9), 0.0);
  fit.fits = fit.batch >= 1.0;
  if (!fit.fits) {
    fit.why_not = fmt::format("{} allows {:.2f} sequences per card", fit.bound, *tightest.batch);
    return fit;
  }
  fit.cards =
      whole_servers(assumptions.micro_batch.value_or(1.0) / fit.batch, per_server) * per_server;
  return fit;
}

FfnFit fit_ffn(const models::ModelSpec& model, const ChipSpec& chip,
               const FitAssumptions& assumptions) {
  const auto layers = static_cast<double>(model.layers());
  const auto per_server = *chip.chips_per_server.value;
  const Seconds stage = assumptions.stage_budget;
  FfnFit fit;
  Seconds arithmetic;  // per token, on one card
  models::OperatorList operators;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto of_kind = static_cast<double>(model.layers_with_ffn(i));
    fit.weights += of_kind * models::ffn_weight_bytes(model.ffns[i], model.hidden);
    operators.clear();
    models::ffn_operators(model.ffns[i], model.precisions, model.hidden, 1.0, {}, operators);
    for (const auto& op : operators) {
      if (op.part != models::Part::ffn) continue;
      const models::Demand d = models::demand(op);
      arithmetic += of_kind * (d.flop / *chip.rate_for(d.compute));
    }
  }
  fit.card_share = *chip.memory_bandwidth.value * stage * assumptions.weights_share;
  fit.layer_share = fit.card_share / layers;
  fit.server_share = fit.card_share * static_cast<double>(per_server);
  const double cards_to_read = fit.weights / fit.card_share;
  const double cards_to_hold =
      chip.memory.value ? fit.weights / usable_memory(*chip.memory.value, assumptions) : 0.0;
  const double asked = assumptions.micro_batch.value_or(1.0);
  const double cards_to_multiply = asked * (arithmetic / stage);
  const double cards = std::max({cards_to_read, cards_to_hold, cards_to_multiply});
  fit.bound = cards == cards_to_read   ? "memory bandwidth"
              : cards == cards_to_hold ? "memory capacity"
                                       : "arithmetic";
  fit.servers = whole_servers(cards, per_server);
  fit.cards = fit.servers * per_server;

  fit.limits.push_back({"arithmetic", static_cast<double>(fit.cards) * (stage / arithmetic)});
  std::optional<double> network;
  if (chip.nic_bandwidth.value) {
    // Every server takes part in every layer, so the whole micro-batch passes through each.
    network = static_cast<double>(per_server) * *chip.nic_bandwidth.value * stage /
              wire_per_token(model, assumptions.messages);
  }
  fit.limits.push_back({"network", network});
  const FitLimit& tightest = least(fit.limits);
  fit.micro_batch_bound = tightest.resource;
  fit.micro_batch = std::floor(*tightest.batch + 1e-9);

  const FfnTraffic traffic = ffn_traffic(model, assumptions.messages);
  fit.wanted_batch = tokens_for_full_use(traffic, chip) / traffic.sparsity();
  fit.fits = fit.micro_batch >= asked;
  if (!fit.fits) {
    fit.why_not = fmt::format("{} allows {:.0f} of {:.0f} tokens", fit.micro_batch_bound,
                              fit.micro_batch, asked);
  }
  return fit;
}

}  // namespace ridge::hw::theory
