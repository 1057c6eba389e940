// What a layer launches, with exact shapes, and what each launch asks of a machine. The models emit
// these, the hardware models time them, the kernel benchmark measures them: prediction and
// measurement speak of the same thing.
#pragma once

#include "ridge/base/error.hpp"
#include "ridge/base/quantity.hpp"
#include "ridge/models/precision.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

namespace ridge::models {

// The part of a model that an operator belongs to. The paper's cost covers the first three.
enum class Part : std::uint8_t {
  attention,         // scores and weighted values over the cache
  attention_linear,  // projections in and out of the attention
  ffn,               // dense, routed and shared experts
  router,
  elementwise,  // norms, activation functions, rotary embedding, quantization
  lm_head,
  communication,
};
inline constexpr std::size_t kParts = 7;
[[nodiscard]] std::string_view name_of(Part part);

// Which kind of kernel an operator is a launch of: what a hardware model looks its curve up by.
// Kinds of one shape differ in what their kernels do beside it, so that none stands in for another.
enum class Kernel : std::uint8_t {
  grouped_attention,            // heads of K and V: MHA, GQA, MQA, MFA
  latent_attention,             // MLA, absorbed: one latent is both
  sparse_latent_attention,      // MLA over the tokens that an indexer chose
  compressed_sparse_attention,  // over a window and the compressed tokens that an indexer chose
  compressed_attention,         // over a window and all compressed tokens
  block_sparse_attention,       // heads of K and V, over the blocks of tokens that were chosen
  index_scores,                 // an indexer's queries against its keys, tokens or blocks
  top_k,                        // of scores
  linear_state,                 // one step of a linear attention of no further name
  gated_delta_state,            // Gated DeltaNet
  kimi_delta_state,             // Kimi Delta Attention: a decay for each channel
  mamba2_state,
  gemm,
  grouped_gemm,
  elementwise,
  expert_permutation,
  expert_activation,
  expert_combination,
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  expert_dispatch,
  expert_combine,
  point_to_point,
};
inline constexpr std::size_t kKernels = 25;
[[nodiscard]] std::string_view name_of(Kernel kernel);

// What one launch asks for. Everything is a total over the launch.
struct Demand {
  Flop flop;
  Precision compute = Precision::bf16;  // of the matrix units that do the flop
  Bytes weights;                        // read once, whatever the batch
  Bytes cache_read;                     // KV cache or recurrent state
  Bytes cache_written;
  Bytes activations_read;
  Bytes activations_written;
  Bytes wire;  // sent by this rank

  [[nodiscard]] Bytes read() const { return weights + cache_read + activations_read; }
  [[nodiscard]] Bytes written() const { return cache_written + activations_written; }
  [[nodiscard]] Bytes memory() const { return read() + written(); }
};

// Attention of one or a few new tokens per sequence over its cache. Appending to the cache is the
// work of the operator that makes the new keys.
struct DecodeAttention {
  enum class Kind : std::uint8_t {
    grouped,
    latent,
    sparse_latent,
    compressed_sparse,
    compressed,
    block_sparse,
    index_scores,
  };
  Kind kind = Kind::grouped;
  double sequences = 1;
  double context = 0;                     // tokens attended per sequence (mean)
  double longest = 0;                     // of the longest sequence; 0: all are alike
  std::int64_t queries_per_sequence = 1;  // new tokens: 1, or 1 + drafts
  std::int64_t query_heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t qk_dim = 1;  // per head, of the query-key product
  std::int64_t v_dim = 1;   // per head, of the probability-value product; 0 for scores alone
  std::int64_t cache_values_per_token = 2;  // stored: 2 x kv_heads x head_dim; latent + rope in MLA
  Precision cache = Precision::bf16;
  Precision compute = Precision::bf16;
  Precision activations = Precision::bf16;
  // Whether nothing of the cache is in L2 when the launch begins: between two launches over a
  // layer's cache lie those of all other layers.
  bool cold = false;
};

// One step of a linear attention's recurrent state (heads x key_dim x value_dim per sequence).
struct StateUpdate {
  enum class Kind : std::uint8_t { linear, gated_delta, kimi_delta, mamba2 };
  Kind kind = Kind::linear;
  double sequences = 1;
  std::int64_t queries_per_sequence = 1;
  std::int64_t heads = 1;
  std::int64_t key_dim = 1;
  std::int64_t value_dim = 1;
  double flop_per_state_value = 0;
  Precision state = Precision::fp32;
  Precision compute = Precision::bf16;
};

// The greatest of the scores of each new token: which cached tokens, or blocks of them, it attends.
struct TopK {
  double rows = 1;        // new tokens
  double candidates = 1;  // scores of each
  double chosen = 1;
  Precision scores = Precision::fp32;
};

// [m, k] x [k, n], `batch` times with weights of their own (absorbed per-head projections).
struct Gemm {
  double m = 1;
  std::int64_t n = 1;
  std::int64_t k = 1;
  std::int64_t batch = 1;
  Precision weights = Precision::bf16;
  Precision compute = Precision::bf16;
  Precision input = Precision::bf16;
  Precision output = Precision::bf16;
  double weight_scales = 0;  // bytes of scales beside one weight
};

// One [rows_e, k] x [k, n] product per expert.
struct GroupedGemm {
  // Which product of a gated two-layer network it is: gate and up together, or down. Kernels for
  // the whole layer of experts do both.
  enum class Kind : std::uint8_t { single, up, down };
  Kind kind = Kind::single;
  double rows = 1;  // token-expert pairs over all experts of this rank
  std::int64_t experts = 1;
  double active_experts = 1;  // with at least one row: their weights are read
  // That the launch is handed, of which rows are copies, and their token-expert pairs, those for
  // experts of other ranks included: by these, kernels choose tiles and look through choices. Where
  // rows come one by one, in the order of their experts, each is a token. Stated by whoever asks.
  double tokens = 0;
  double routed_rows = 0;
  std::int64_t n = 1;
  std::int64_t k = 1;
  Precision weights = Precision::bf16;
  Precision compute = Precision::bf16;
  Precision input = Precision::bf16;
  Precision output = Precision::bf16;
  double weight_scales = 0;  // bytes of scales beside one weight
};

struct Elementwise {
  // Around the products of routed experts: tokens in the order of their experts, the activation
  // between the products (both written in the precision that the experts compute in), and the
  // weighted sum of a token's copies.
  enum class Kind : std::uint8_t {
    general,
    expert_permutation,
    expert_activation,
    expert_combination,
  };
  Kind kind = Kind::general;
  double values_read = 0;
  double values_written = 0;
  Precision input = Precision::bf16;
  Precision output = Precision::bf16;
};

struct Collective {
  enum class Kind : std::uint8_t { all_reduce, all_gather, reduce_scatter, all_to_all };
  Kind kind = Kind::all_reduce;
  std::int64_t ranks = 1;
  // all_gather and reduce_scatter: the whole gathered buffer; all_reduce: the buffer; all_to_all:
  // what one rank holds.
  Bytes payload;
  // all_to_all between tokens and their experts: how many copies of tokens the payload is, and of
  // how many experts; 0 where unknown. `returning` from the experts.
  double copies = 0;
  std::int64_t experts = 0;
  bool returning = false;
};

struct PointToPoint {
  Bytes payload;
};

using Shape = std::variant<DecodeAttention, StateUpdate, TopK, Gemm, GroupedGemm, Elementwise,
                           Collective, PointToPoint>;

// What an operator is for, where an engine launches it in another way than the others of its part.
enum class Purpose : std::uint8_t {
  none,
  residual_norm,    // ahead of an attention or an FFN
  norm_over_heads,  // around the sum of a norm over the heads of all GPUs
  output_projection,
  expert_choice,
  shared_experts,
};

struct Operator {
  std::string_view name;  // "q_down", "expert_gate_up": a literal, for people
  Part part = Part::elementwise;
  Shape shape;
  Purpose purpose = Purpose::none;

  [[nodiscard]] Kernel kernel() const;
};

[[nodiscard]] Demand demand(const DecodeAttention& op);
[[nodiscard]] Demand demand(const StateUpdate& op);
[[nodiscard]] Demand demand(const TopK& op);
[[nodiscard]] Demand demand(const Gemm& op);
[[nodiscard]] Demand demand(const GroupedGemm& op);
[[nodiscard]] Demand demand(const Elementwise& op);
[[nodiscard]] Demand demand(const Collective& op);
[[nodiscard]] Demand demand(const PointToPoint& op);
[[nodiscard]] Demand demand(const Operator& op);

// The operators of a layer, in launch order, without an allocation.
class OperatorList {
 public:
  void add(std::string_view name, Part part, const Shape& shape, Purpose purpose = Purpose::none) {
    RIDGE_INVARIANT(size_ < items_.size(), "a layer launches more operators than expected");
    items_[size_++] = Operator{name, part, shape, purpose};
  }
  [[nodiscard]] Operator& last() { return items_[size_ - 1]; }
  void clear() { size_ = 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Operator* begin() { return items_.data(); }
  [[nodiscard]] Operator* end() { return items_.data() + size_; }
  [[nodiscard]] const Operator* begin() const { return items_.data(); }
  [[nodiscard]] const Operator* end() const { return items_.data() + size_; }
  [[nodiscard]] const Operator& operator[](std::size_t i) const { return items_[i]; }

 private:
  std::array<Operator, 40> items_;
  std::size_t size_ = 0;
};

}  // namespace ridge::models
