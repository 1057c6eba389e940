#include "ridge/hwmodels/theory/token_cost.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::hw::theory {

std::string missing_for_time(const ChipSpec& chip) {
  if (!chip.memory_bandwidth.value) return "memory bandwidth unknown";
  if (!chip.rate_for(Precision::bf16)) return "matrix rate unknown";
  return {};
}

std::string missing_for_cost(const ChipSpec& chip, const Price* price) {
  if (std::string missing = missing_for_time(chip); !missing.empty()) return missing;
  return price == nullptr ? "price unknown" : "";
}

RooflineChip::RooflineChip(const ChipSpec& chip) {
  if (const auto missing = missing_for_time(chip); !missing.empty()) {
    throw UserError(fmt::format("{}: cannot compute a time: {}", chip.name, missing));
  }
  for (std::size_t p = 0; p < models::kPrecisions; ++p) {
    seconds_per_flop_[p] = 1.0 / *chip.rate_for(static_cast<Precision>(p));
  }
  seconds_per_byte_ = 1.0 / *chip.memory_bandwidth.value;
}

TokenCost cost_of(const TokenTime& time, UsdPerSecond price) {
  return {.attention = price * time.attention / Tokens{1.0}, .ffn = price * time.ffn / Tokens{1.0}};
}

void BestPairing::offer(std::size_t chip, const TokenCost& cost) {
  if (!found_ || cost.attention < attention_) {
    attention_ = cost.attention;
    attention_chip_ = chip;
  }
  if (!found_ || cost.ffn < ffn_) {
    ffn_ = cost.ffn;
    ffn_chip_ = chip;
  }
  found_ = true;
}

// Visits every operator of the first three parts, once per kind of layer, with the number of layers
// that launch it and the tokens of one launch.
template <typename Visit>
void TokenTimeModel::for_each_operator(const models::ModelSpec& model, double context,
                                       Visit&& visit) {
  const double tokens = assumptions_.batch.value_or(1.0);
  const models::DecodeShape shape{.sequences = tokens, .context = context};
  for (std::size_t i = 0; i < model.attentions.size(); ++i) {
    const auto layers = static_cast<double>(model.layers_with_attention(i));
    scratch_.clear();
    models::attention_operators(model.attentions[i], model.precisions, model.hidden, shape, {},
                                assumptions_.mla_count, scratch_);
    for (const auto& op : scratch_) visit(op, layers / tokens);
  }
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto layers = static_cast<double>(model.layers_with_ffn(i));
    scratch_.clear();
    models::ffn_operators(model.ffns[i], model.precisions, model.hidden, tokens, {}, scratch_);
    for (const auto& op : scratch_) visit(op, layers / tokens);
  }
}

namespace {

void add(TokenDemand& total, models::Part part, const models::Demand& d, double times) {
  switch (part) {
    case models::Part::attention:
      total.attention += times * d.flop;
      total.cache += times * (d.cache_read + d.cache_written);
      break;
    case models::Part::attention_linear:
      total.attention_linear += times * d.flop;
      break;
    case models::Part::ffn:
      total.ffn += times * d.flop;
      break;
    default:
      break;
  }
}

}  // namespace

TokenDemand TokenTimeModel::demand(const models::ModelSpec& model, double context) {
  TokenDemand total;
  for_each_operator(model, context, [&](const models::Operator& op, double times) {
    if (op.part <= models::Part::ffn) add(total, op.part, models::demand(op), times);
  });
  return total;
}

TokenTime TokenTimeModel::time(const models::ModelSpec& model, const RooflineChip& chip,
                               double context) {
  TokenTime time;
  Seconds bound_by_compute;
  Seconds bound_by_memory;
  for_each_operator(model, context, [&](const models::Operator& op, double times) {
    if (op.part > models::Part::ffn) return;
    const models::Demand d = models::demand(op);
    add(time.demand, op.part, d, times);
    const Bytes memory =
        d.cache_read + d.cache_written + (assumptions_.batch ? d.weights : Bytes{});
    const Seconds compute_time = times * (d.flop * chip.seconds_per_flop(d.compute));
    const Seconds memory_time = times * (memory * chip.seconds_per_byte());
    const Seconds longer = std::max(compute_time, memory_time);
    (op.part == models::Part::ffn ? time.ffn : time.attention) += longer;
    if (op.part == models::Part::attention) {
      (compute_time >= memory_time ? bound_by_compute : bound_by_memory) += longer;
    }
  });
  time.attention_bound = bound_by_compute >= bound_by_memory ? Resource::compute : Resource::memory;
  return time;
}

}  // namespace ridge::hw::theory
