// The attention kinds, what each stores per token, and the operators it launches for a decode
// batch. Adding a kind: its struct here, one file under src/attention/, one line in the table of
// src/attention.cpp.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/operator.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ridge::models {

// A layer that has none: state-space hybrids put attention and FFNs where they like.
struct NoAttention {};

// Block-sparse attention: an indexer scores every token, and attention reads the blocks of tokens
// with the greatest scores.
struct BlockIndex {
  std::int64_t blocks = 0;
  std::int64_t block_tokens = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::optional<Precision> key_precision{};  // of index keys; the cache's where empty
};

// Query heads in groups over kv_heads key-value heads: MHA (kv_heads = query_heads), MQA (1), GQA.
struct GroupedQueryAttention {
  std::int64_t query_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t output_gate_values = 0;  // width of a sigmoid gate on the output; 0 for none
  bool qkv_bias = false;
  bool output_bias = false;
  std::int64_t v_head_dim = 0;  // 0: as wide as keys
  bool value_from_key = false;  // one projection makes both; both are cached
  bool reuses_cache = false;    // reads the keys and values of an earlier layer, and has none
  bool sinks = false;           // a learned logit for each query head
  // Queries and keys are normalized over all of their heads at once: ranks that share the heads add
  // up the squares.
  bool norm_over_heads = false;
  std::optional<BlockIndex> block_sparse = {};

  [[nodiscard]] std::int64_t v_dim() const { return v_head_dim > 0 ? v_head_dim : head_dim; }
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
  std::int64_t pool = 1;             // tokens that share one index key
  std::int64_t key_scale_bytes = 0;  // beside an FP8 index key
  bool reused = false;               // an earlier layer's choice of tokens: nothing of its own
};

// How a latent is kept where the cache has fewer than two bytes a value.
struct CacheRecord {
  std::optional<Precision> rope = {};  // of the rotary part; nothing: as the rest
  std::int64_t scale_bytes = 0;        // a token's scales
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
  bool output_gate = false;  // a sigmoid gate as wide as the heads' values
  CacheRecord record = {};
  std::optional<SparseIndex> sparse;
};

// DeepSeek-V4's attention: query heads over one head that is key and value at once, of the last
// local_tokens tokens and of all earlier ones compressed `ratio` to one; with an index, of the best
// of these. The output is projected in groups of heads, through a lower rank.
struct CompressedAttention {
  std::int64_t query_heads = 0;
  std::int64_t query_rank = 0;
  std::int64_t head_dim = 0;
  std::int64_t rope_head_dim = 0;
  std::int64_t output_groups = 1;
  std::int64_t output_rank = 0;
  std::int64_t local_tokens = 0;
  std::int64_t ratio = 0;     // 0: local tokens alone
  bool overlap = false;       // every other half of a compressed token is its neighbor's
  bool reuses_cache = false;  // the compressed tokens of an earlier layer
  CacheRecord record = {};
  std::optional<SparseIndex> sparse;
};

// Linear attention with a recurrent state (lightning attention, gated delta rule, Kimi Delta
// Attention).
struct LinearStateAttention {
  StateUpdate::Kind recurrence = StateUpdate::Kind::linear;
  std::int64_t key_heads = 0;
  std::int64_t value_heads = 0;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t gates_per_value_head = 0;  // scalar decay or write gates from the hidden state
  std::int64_t convolution = 0;           // width of the short causal convolution; 0 for none
  bool output_gate = false;
  double flop_per_state_value = 0.0;
  Precision state = Precision::fp32;
  std::int64_t output_gate_rank = 0;  // 0: the gate comes straight from the hidden state
  std::int64_t decay_rank = 0;        // of a decay for each key channel; 0 for none
};

// Mamba-2 (arXiv 2405.21060): a state of head_dim x state_dim per head, its input and output
// vectors shared by the heads of a group.
struct Mamba2Attention {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t groups = 1;
  std::int64_t state_dim = 0;
  std::int64_t convolution = 0;
  Precision state = Precision::fp32;
};

using AttentionKind =
    std::variant<GroupedQueryAttention, MultiMatrixFactorizationAttention, MultiHeadLatentAttention,
                 LinearStateAttention, CompressedAttention, Mamba2Attention, NoAttention>;

// The matrices of an attention layer, which checkpoints quantize or leave alone one by one.
enum class Projection : std::uint8_t {
  query_down,  // to the query's low rank
  query,
  key_value,  // keys and values, or their latent
  kv_up,      // the latent's way to heads, absorbed in decoding
  output,
  gate,   // of outputs and decays
  index,  // an indexer's
  compressor,
  other,  // norms, convolutions, biases: no matrices
};
inline constexpr std::size_t kProjections = 9;
[[nodiscard]] std::span<const Named<Projection>> projection_names();

struct ProjectionParameters {
  std::array<double, kProjections> of{};

  void add(Projection projection, double count) {
    of[static_cast<std::size_t>(projection)] += count;
  }
  [[nodiscard]] double total() const { return std::accumulate(of.begin(), of.end(), 0.0); }
};

// The tokens a query sees, where not all of them.
struct Window {
  enum class Kind : std::uint8_t { sliding, chunked };
  Kind kind = Kind::sliding;
  std::int64_t tokens = 0;
};

// Projections that are left as they were where the others are quantized, and how.
struct Unquantized {
  std::vector<Projection> projections;
  Precision precision = Precision::bf16;
};

struct AttentionBlock {
  std::string name;
  AttentionKind kind;
  std::optional<Window> window = {};
  Precision cache = Precision::bf16;
  Precision compute = Precision::bf16;  // of the attention itself
  // The word the file used, where several name one kind: "mha" and "mqa" promise a number of KV
  // heads, which a sweep must not break unseen.
  std::string_view declared_kind = {};
  OwnFormat weights = {};
  std::optional<Unquantized> unquantized = {};
  // What the file says in place of the model's own; `cache` and `compute` are made from these.
  std::optional<Precision> own_cache = {};
  std::optional<Precision> own_compute = {};
  // Parallel streams of the residual (hyper-connections), which this layer mixes: the model's.
  std::int64_t residual_streams = 1;

  // Tokens of `context` cached ones that a query sees. A chunked window is counted at its full
  // width, as the Step-3 report does; a query early in its chunk sees fewer.
  [[nodiscard]] double attended(double context) const {
    return window ? std::min(context, static_cast<double>(window->tokens)) : context;
  }
  // Whether this projection is left as it was, and how.
  [[nodiscard]] std::optional<Precision> kept(Projection which) const {
    if (!unquantized) return std::nullopt;
    const auto& all = unquantized->projections;
    return std::find(all.begin(), all.end(), which) == all.end()
               ? std::nullopt
               : std::optional(unquantized->precision);
  }
};
[[nodiscard]] const KeyTable& keys_of(const AttentionBlock*);

// Number formats of a model's matrix products and messages.
struct Precisions {
  Precision weights = Precision::bf16;
  Precision compute = Precision::bf16;
  Precision activations = Precision::bf16;    // between operators
  Precision wire_dispatch = Precision::bf16;  // attention to FFN
  Precision wire_combine = Precision::bf16;   // FFN to attention
  WeightScales weight_scales = {};

  [[nodiscard]] WeightFormat weight_format() const { return {weights, weight_scales}; }
};

// How much of a decode step this rank sees.
struct DecodeShape {
  double sequences = 1;
  double context = 0;  // cached tokens per sequence (mean)
  double longest = 0;  // cached tokens of the longest sequence; 0: all are alike
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
  // Ranks that would hold the same cache and keep a part of its tokens each instead: each attends
  // with the heads of all of them, to its own tokens.
  std::int64_t context_parallel = 1;
};

// How the probability-value product of MLA is counted.
enum class MlaCount : std::uint8_t {
  absorbed,  // 576 values for QK, 512 for PV: what the kernel does
  step3,     // 576 for both, as the Step-3 report counts
};

// Hyper-connections (arXiv 2409.19606, constrained as in arXiv 2512.24880): each sublayer reads one
// mix of the streams and writes back to all, by coefficients that it computes from all.
void residual_operators(std::int64_t streams, const Precisions& precisions, std::int64_t hidden,
                        double tokens, OperatorList& out);
[[nodiscard]] double residual_parameters(std::int64_t streams, std::int64_t hidden);

// Appends the operators of one attention layer, the input norm included.
void attention_operators(const AttentionBlock& block, const Precisions& precisions,
                         std::int64_t hidden, const DecodeShape& shape, const AttentionShard& shard,
                         MlaCount mla_count, OperatorList& out);

// Parameters of one layer: projections, norms, biases.
[[nodiscard]] double attention_parameters(const AttentionBlock& block, std::int64_t hidden);

// Their storage, each part in its format.
[[nodiscard]] Bytes attention_weight_bytes(const AttentionBlock& block,
                                           const Precisions& precisions, std::int64_t hidden);

// Heads that tensor parallelism splits; 0 where there are none.
[[nodiscard]] std::int64_t split_heads(const AttentionBlock& block);

// Cache or state held by one sequence of `context` tokens in one layer.
[[nodiscard]] Bytes cache_bytes(const AttentionBlock& block, double context);

// Ranks of a tensor-parallel group that one sequence's cache is split over; each of the others
// holds a copy of a part.
[[nodiscard]] std::int64_t cache_ranks(const AttentionBlock& block, std::int64_t tensor_parallel);

// Whether a query's sum over cached tokens can be made of the sums over parts of them.
[[nodiscard]] bool splits_by_tokens(const AttentionBlock& block);

// heads x head_dim of the query-key product, without rotary parts: how expressive the attention is
// (section 4.1 of the Step-3 report). 0 for linear attention, which has no such rank.
[[nodiscard]] std::int64_t effective_rank(const AttentionBlock& block);

// "mfa", "gqa", ...
[[nodiscard]] std::string_view kind_name(const AttentionBlock& block);

// What is wrong with the values of several keys at once (divisibility, say), told of one of them.
struct Problem {
  std::string pointer;  // from where the problem is looked for
  std::string text;     // empty where there is none
};
[[nodiscard]] Problem attention_problem(const AttentionBlock& block);

}  // namespace ridge::models
