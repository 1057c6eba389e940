// The feed-forward kinds and the operators they launch.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace ridge::models {

// A layer that has none.
struct NoFfn {};

struct DenseFfn {
  std::int64_t intermediate = 0;
  bool gated = true;  // gate and up projections (SwiGLU); otherwise up alone
};

struct MoeFfn {
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t expert_intermediate = 0;
  std::int64_t shared_intermediate = 0;  // all shared experts together; 0 for none
  bool gated = true;
  bool biases = false;  // on experts and router
  Precision router = Precision::bf16;
  OwnFormat shared_weights = {};  // of the shared experts
  // Width that the routed experts work at, between two projections; 0: the hidden size.
  std::int64_t latent = 0;
  std::int64_t dense_intermediate = 0;  // of a dense FFN beside the experts; 0 for none
  std::int64_t identity_experts = 0;    // that hand their token back; the router chooses them too
};

struct FfnBlock {
  std::string name;
  std::variant<DenseFfn, MoeFfn, NoFfn> kind;
  Precision weights = Precision::bf16;
  Precision compute = Precision::bf16;
  WeightScales weight_scales = {};
  // What the file says in place of the model's own; the three above are made from these.
  OwnFormat own_weights = {};
  std::optional<Precision> own_compute = {};
  std::int64_t residual_streams = 1;  // that this layer mixes: the model's
  // Width of an input of the layer's own, which a table holds for every token (Gemma's per-layer
  // embeddings): gated by the residual stream, projected and added to it. 0: none.
  std::int64_t layer_input = 0;

  [[nodiscard]] WeightFormat weight_format() const { return {weights, weight_scales}; }
};
[[nodiscard]] const KeyTable& keys_of(const FfnBlock*);

// Values of a token on its way to and from the routed experts.
[[nodiscard]] std::int64_t routed_width(const FfnBlock& block, std::int64_t hidden);

struct FfnShard {
  std::int64_t tensor_parallel = 1;  // the intermediate dimension split over ranks
  std::int64_t expert_parallel = 1;  // whole experts split over ranks
  // Tokens whose dense or shared-expert part this rank computes, over all tokens. 1 where every
  // rank computes them all (tensor parallel), 1/ranks where each keeps its own (expert parallel).
  double own_tokens = 1.0;
  // Whether every rank is handed all tokens, also those that chose no expert of it.
  bool gathered = false;
  // Rows routed to this rank over the mean of all ranks: expert skew.
  double load = 1.0;
  // The experts this rank holds (copies of busy ones included) and those of them that get a row,
  // where they are not an equal share under uniform routing.
  struct Experts {
    std::int64_t held = 0;
    double active = 0;
  };
  std::optional<Experts> experts;
};

// Appends what runs before the FFN wherever the tokens are: its input norm, and for a MoE the
// router and the choice of experts.
void routing_operators(const FfnBlock& block, const Precisions& precisions, std::int64_t hidden,
                       double tokens, OperatorList& out);

// Appends the operators of one FFN layer for `tokens` tokens entering the whole (sharded) layer.
void ffn_operators(const FfnBlock& block, const Precisions& precisions, std::int64_t hidden,
                   double tokens, const FfnShard& shard, OperatorList& out);

struct FfnParameters {
  double total = 0;
  double active = 0;  // multiplied with one token
  double routed = 0;  // of total: the routed experts
};
// Of one layer: experts, router, the input norm.
[[nodiscard]] FfnParameters ffn_parameters(const FfnBlock& block, std::int64_t hidden);

// Storage of one layer's parameters, each part in its format; and of the routed experts alone.
[[nodiscard]] Bytes ffn_weight_bytes(const FfnBlock& block, std::int64_t hidden);
[[nodiscard]] Bytes routed_weight_bytes(const FfnBlock& block, std::int64_t hidden);

// Experts out of `experts` that `tokens` tokens reach on average when each picks top_k at random.
[[nodiscard]] double expected_active_experts(double experts, double top_k_share, double tokens);

[[nodiscard]] std::string_view kind_name(const FfnBlock& block);

// What is wrong with the values of several keys at once.
[[nodiscard]] Problem ffn_problem(const FfnBlock& block);

}  // namespace ridge::models
