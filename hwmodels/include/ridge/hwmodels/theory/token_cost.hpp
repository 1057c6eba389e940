// What one decoded token asks for, how long it keeps a chip busy and what it costs: theory, as
// section 4 of the Step-3 report (arXiv 2507.19427) computes it.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/models/model_spec.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace ridge::hw::theory {

struct CostAssumptions {
  models::MlaCount mla_count = models::MlaCount::absorbed;
  // Tokens that share one reading of the weights. Unlimited where absent: weights then cost
  // nothing, as the report assumes for a well-fed FFN.
  std::optional<double> batch;
};

// Per token, all layers. The LM head, embeddings, router, norms and the writing of activations are
// left out, as in the report.
struct TokenDemand {
  Bytes cache;  // KV read; recurrent state read and written
  Flop attention;
  Flop attention_linear;
  Flop ffn;

  // FLOP per byte of cache; what the ridge point is compared with.
  [[nodiscard]] FlopPerByte arithmetic_intensity() const { return attention / cache; }
};

// How long the parts of a token keep a chip busy.
struct TokenTime {
  TokenDemand demand;
  Seconds attention;  // with its projections
  Seconds ffn;
  Resource attention_bound = Resource::none;  // of the larger part of the attention's own time
  [[nodiscard]] Seconds total() const { return attention + ffn; }
};

struct TokenCost {
  UsdPerToken attention;  // with its projections
  UsdPerToken ffn;
  [[nodiscard]] UsdPerToken total() const { return attention + ffn; }
};
[[nodiscard]] TokenCost cost_of(const TokenTime& time, UsdPerSecond price);

// What stops this chip from being timed, in words: "memory bandwidth unknown"; empty if nothing
// does. A cost needs a price as well.
[[nodiscard]] std::string missing_for_time(const ChipSpec& chip);
[[nodiscard]] std::string missing_for_cost(const ChipSpec& chip, const Price* price);

// A chip's roofline: seconds per FLOP and per byte.
class RooflineChip {
 public:
  using SecondsPerFlop = decltype(1.0 / FlopPerSecond{});
  using SecondsPerByte = decltype(1.0 / BytesPerSecond{});

  // Throws UserError where bandwidth or a BF16 rate is unknown.
  explicit RooflineChip(const ChipSpec& chip);

  [[nodiscard]] SecondsPerFlop seconds_per_flop(models::Precision compute) const {
    return seconds_per_flop_[static_cast<std::size_t>(compute)];
  }
  [[nodiscard]] SecondsPerByte seconds_per_byte() const { return seconds_per_byte_; }

 private:
  std::array<SecondsPerFlop, models::kPrecisions> seconds_per_flop_;
  SecondsPerByte seconds_per_byte_;
};

// The cheapest pairing of a chip for the attention with a chip for the FFN (attention-FFN
// disaggregation). The two pools are chosen apart, so each part's cheapest chip is in it; of
// equally cheap ones the first that was offered.
class BestPairing {
 public:
  // `chip` is the caller's number for it.
  void offer(std::size_t chip, const TokenCost& cost);

  [[nodiscard]] bool found() const { return found_; }
  // Only where one was found.
  [[nodiscard]] std::size_t attention_chip() const { return attention_chip_; }
  [[nodiscard]] std::size_t ffn_chip() const { return ffn_chip_; }
  [[nodiscard]] UsdPerToken attention() const { return attention_; }
  [[nodiscard]] UsdPerToken ffn() const { return ffn_; }
  [[nodiscard]] UsdPerToken total() const { return attention_ + ffn_; }

 private:
  bool found_ = false;
  std::size_t attention_chip_ = 0;
  std::size_t ffn_chip_ = 0;
  UsdPerToken attention_;
  UsdPerToken ffn_;
};

// Keeps scratch space, so that an evaluation allocates nothing: one per thread.
class TokenTimeModel {
 public:
  explicit TokenTimeModel(CostAssumptions assumptions = {}) : assumptions_(assumptions) {}

  // context: cached tokens.
  [[nodiscard]] TokenDemand demand(const models::ModelSpec& model, double context);
  [[nodiscard]] TokenTime time(const models::ModelSpec& model, const RooflineChip& chip,
                               double context);

 private:
  template <typename Visit>
  void for_each_operator(const models::ModelSpec& model, double context, Visit&& visit);

  CostAssumptions assumptions_;
  models::OperatorList scratch_;
};

}  // namespace ridge::hw::theory
