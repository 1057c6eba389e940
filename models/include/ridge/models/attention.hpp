// The attention kinds, what each stores per token, and the operators it launches for a decode
// batch. Adding a kind: its struct here, one file under src/attention/, one line in the table of
// src/attention.cpp.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace ridge::models {

// Query heads in groups over kv_heads key-value heads: MHA (kv_heads = query_heads), MQA (1), GQA.
struct GroupedQueryAttention {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t output_gate_values = 0;  // width of a sigmoid gate on the output; 0 for none
  bool qkv_bias = false;
  bool output_bias = false;
};

// MFA (arXiv 2412.19255): a low-rank query projection into many wide heads over one shared K and
// one shared V head.
struct MultiMatrixFactorizationAttention {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 0;
  std::int64_t query_rank = 0;
};

// DeepSeek sparse attention: a light indexer scores every token, attention reads the best.
struct SparseIndex {
  std::int64_t top_k = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
};

// MLA (arXiv 2405.04434) in its absorbed decode form: heads attend over one latent of kv_rank
// values plus one shared rotary key.
struct MultiHeadLatentAttention {
  std::int64_t query_heads = 0;
  std::int64_t query_rank = 0;  // 0: no query compression
  std::int64_t kv_rank = 0;
  std::int64_t nope_head_dim = 0;
  std::int64_t rope_head_dim = 0;
  std::int64_t v_head_dim = 0;
  std::optional<SparseIndex> sparse;
};

// Linear attention with a recurrent state (lightning attention, gated delta rule).
struct LinearStateAttention {
  std::int64_t key_heads = 0;
  std::int64_t value_heads = 0;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t gates_per_value_head = 0;  // scalar decay or write gates from the hidden state
  std::int64_t convolution = 0;           // width of the short causal convolution; 0 for none
  bool output_gate = false;
  double flop_per_state_value = 0.0;
  Precision state = Precision::fp32;
};

using AttentionKind = std::variant<GroupedQueryAttention, MultiMatrixFactorizationAttention,
                                   MultiHeadLatentAttention, LinearStateAttention>;

// The tokens a query sees.
struct Window {
  enum class Kind : std::uint8_t { full, sliding, chunked };
  Kind kind = Kind::full;
  std::int64_t tokens = 0;

  // Of `context` cached tokens. A chunked window is counted at its full width, as the Step-3 report
  // does; a query early in its chunk sees fewer.
  [[nodiscard]] double attended(double context) const {
    return kind == Kind::full ? context : std::min(context, static_cast<double>(tokens));
  }
};

struct AttentionBlock {
  std::string name;
  AttentionKind kind;
  Window window;
  Precision cache = Precision::bf16;
  Precision compute = Precision::bf16;  // of the attention itself
  // The word the file used, where several name one kind: "mha" and "mqa" promise a number of KV
  // heads, which a sweep must not break unseen.
  std::string_view declared_kind = {};
};

// Number formats of a model's matrix products and messages.
struct Precisions {
  Precision weights = Precision::bf16;
  Precision compute = Precision::bf16;
  Precision activations = Precision::bf16;    // between operators
  Precision wire_dispatch = Precision::bf16;  // attention to FFN
  Precision wire_combine = Precision::bf16;   // FFN to attention
};

// How much of a decode step this rank sees.
struct DecodeShape {
  double sequences = 1;
  double context = 0;  // cached tokens per sequence (mean)
  std::int64_t queries_per_sequence = 1;

  [[nodiscard]] double tokens() const {
    return sequences * static_cast<double>(queries_per_sequence);
  }
};

struct AttentionShard {
  std::int64_t tensor_parallel = 1;  // heads split over ranks
  // The output projection alone split over this many data-parallel ranks, which gather their
  // tokens.
  std::int64_t output_parallel = 1;
};

// How the probability-value product of MLA is counted.
enum class MlaCount : std::uint8_t {
  absorbed,  // 576 values for QK, 512 for PV: what the kernel does
  step3,     // 576 for both, as the Step-3 report counts
};

// Appends the operators of one attention layer, the input norm included.
void attention_operators(const AttentionBlock& block, const Precisions& precisions,
                         std::int64_t hidden, const DecodeShape& shape, const AttentionShard& shard,
                         MlaCount mla_count, OperatorList& out);

// Parameters of one layer: projections, norms, biases.
[[nodiscard]] double attention_parameters(const AttentionBlock& block, std::int64_t hidden);

// Cache or state held by one sequence of `context` tokens in one layer.
[[nodiscard]] Bytes cache_bytes(const AttentionBlock& block, double context);

// Ranks of a tensor-parallel group that one sequence's cache is split over; each of the others
// holds a copy of a part.
[[nodiscard]] std::int64_t cache_ranks(const AttentionBlock& block, std::int64_t tensor_parallel);

// heads x head_dim of the query-key product, without rotary parts: how expressive the attention is
// (section 4.1 of the Step-3 report). 0 for linear attention, which has no such rank.
[[nodiscard]] std::int64_t effective_rank(const AttentionBlock& block);

// "mfa", "gqa", ...
[[nodiscard]] std::string_view kind_name(const AttentionBlock& block);

// Reads a block. `defaults` fill its cache and compute precisions.
void read_attention(const JsonNode& node, const AttentionBlock& defaults, AttentionBlock& out);

// What is wrong with the values of several keys at once (divisibility, say), told of one of them.
struct Problem {
  std::string pointer;  // from where the problem is looked for
  std::string text;     // empty where there is none
};
[[nodiscard]] Problem attention_problem(const AttentionBlock& block);

}  // namespace ridge::models
