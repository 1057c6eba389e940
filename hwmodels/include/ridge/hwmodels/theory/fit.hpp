// Can a chip serve a model's attention, or its FFN, within one pipeline stage, and with how many
// cards? Section 6 of the Step-3 report (arXiv 2507.19427): every resource at its data-sheet rate
// and checked by itself.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/memory_reserve.hpp"
#include "ridge/models/messages.hpp"
#include "ridge/models/model_spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::hw::theory {

struct FitAssumptions {
  Seconds stage_budget{0.05 / 3.0};  // of a whole token, all layers: 50 ms over 3 stages
  double context = 8192;             // cached tokens per sequence
  std::int64_t micro_batches = 3;    // in flight: each keeps its own cache
  // Of a card's memory, for weights and cache together, and what it holds beside them; activations
  // are not counted.
  double memory_utilization = 0.9;
  Bytes memory_reserve = kReserveTogether;
  // Data-parallel attention cards that split the output projection; a whole server where absent.
  std::optional<std::int64_t> output_parallel;
  // Share of an FFN stage spent on reading weights. The report's figures imply a half (117 of the
  // 235 MB that an L20 reads in a stage's layer), which leaves the rest to exchanges within the
  // server and to arithmetic that hides nothing.
  double weights_share = 0.5;
  // Tokens of one micro-batch that the deployment must serve; one card or server where absent.
  std::optional<double> micro_batch;
  models::MessageCount messages = models::MessageCount::whole;
};

// What one resource allows by itself.
struct FitLimit {
  std::string resource;         // "memory bandwidth", "arithmetic", "memory capacity", "network"
  std::optional<double> batch;  // sequences or tokens per micro-batch; empty where unknown
};

struct AttentionFit {
  // Per card, and for the mean layer.
  Seconds layer_budget;
  Bytes bytes_in_budget;
  Bytes weights_read;
  Bytes cache_left;
  Bytes cache_per_token;     // added by one more token of context
  double cached_tokens = 0;  // cache_left over cache_per_token
  std::vector<FitLimit> limits;
  double batch = 0;        // whole sequences per card: the least of the limits
  std::string bound;       // the resource that sets it
  std::int64_t cards = 0;  // whole servers, for the micro-batch asked for
  bool fits = false;
  std::string why_not;
};

struct FfnFit {
  Bytes weights;      // of all layers
  Bytes layer_share;  // read by one card in one layer's share of the stage
  Bytes card_share;   // over all layers
  Bytes server_share;
  std::int64_t servers = 0;  // to read, hold and multiply with all weights in time
  std::int64_t cards = 0;
  std::string bound;             // "memory bandwidth", "memory capacity" or "arithmetic"
  std::vector<FitLimit> limits;  // on the micro-batch of that many cards
  double micro_batch = 0;        // the least of them
  std::string micro_batch_bound;
  double wanted_batch = 0;  // tokens that keep the matrix units busy
  bool fits = false;
  std::string why_not;
};

// What a fit needs and nobody knows of the chip, in words; empty if nothing.
[[nodiscard]] std::string missing_for_fit(const ChipSpec& chip);

// Only where nothing is missing. Throws UserError where the output projection cannot be split as
// asked.
[[nodiscard]] AttentionFit fit_attention(const models::ModelSpec& model, const ChipSpec& chip,
                                         const FitAssumptions& assumptions);
[[nodiscard]] FfnFit fit_ffn(const models::ModelSpec& model, const ChipSpec& chip,
                             const FitAssumptions& assumptions);

}  // namespace ridge::hw::theory
