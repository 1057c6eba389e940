#pragma once

namespace ridge::kernels::moe {

/// Granularity of every scale: activations carry one per 1 x 128 values along K, weights one per
/// 128 x 128. It is also the K extent of one pipeline stage.
inline constexpr int kScaleBlock = 128;

/// Routed plus shared experts one launch can hold; their row offsets live in shared memory.
inline constexpr int kMaxGroups = 512;

/// One mixture-of-experts FFN layer as a single GPU sees it.
///
/// A *group* is one expert's matrix problem: the local routed experts come first, then the shared
/// experts, which every token visits with weight 1. Tensor parallelism appears as a smaller
/// `intermediate` (Step-3 at TP8: 5120 / 8 = 640), expert parallelism as a sub-range of experts;
/// either way the layer's output is this GPU's partial sum.
struct LayerShape {
  int tokens = 0;
  int hidden = 0;
  int intermediate = 0;
  int experts = 0;
  int top_k = 0;
  int shared_experts = 0;
  int first_expert = 0;
  int local_experts = 0;

  constexpr bool operator==(const LayerShape&) const = default;

  [[nodiscard]] constexpr int groups() const { return local_experts + shared_experts; }

  /// Rows of the permuted activation matrix that any routing fits in: a token picks `top_k`
  /// different experts, so at most min(top_k, local_experts) of them are local.
  [[nodiscard]] constexpr int row_capacity() const {
    const int local_picks = top_k < local_experts ? top_k : local_experts;
    return tokens * (local_picks + shared_experts);
  }

  /// Rows of that matrix if every expert is picked equally often.
  [[nodiscard]] constexpr double balanced_rows() const {
    return tokens * (experts > 0 ? static_cast<double>(top_k) * local_experts / experts : 0.0) +
           static_cast<double>(tokens) * shared_experts;
  }

  [[nodiscard]] constexpr bool is_local(int expert) const {
    return expert >= first_expert && expert < first_expert + local_experts;
  }
};

/// The whole layer on one GPU.
constexpr LayerShape whole_layer(int tokens, int hidden, int intermediate, int experts, int top_k,
                                 int shared_experts) {
  return {.tokens = tokens,
          .hidden = hidden,
          .intermediate = intermediate,
          .experts = experts,
          .top_k = top_k,
          .shared_experts = shared_experts,
          .first_expert = 0,
          .local_experts = experts};
}

/// Rank `tp_rank` of `tp` slices the intermediate dimension; rank `ep_rank` of `ep` takes a run of
/// experts / ep experts. Every expert-parallel rank holds the shared experts.
constexpr LayerShape slice(LayerShape layer, int tp, int ep, int ep_rank) {
  layer.intermediate /= tp;
  layer.local_experts = layer.experts / ep;
  layer.first_expert = ep_rank * layer.local_experts;
  return layer;
}

/// What makes `shape` unusable, as a sentence, or nullptr when it is fine.
constexpr const char* problem_with(const LayerShape& shape) {
  if (shape.tokens < 0) return "tokens must not be negative";
  if (shape.hidden <= 0 || shape.hidden % kScaleBlock != 0)
    return "hidden must be a positive multiple of 128";
  if (shape.intermediate <= 0 || shape.intermediate % kScaleBlock != 0)
    return "intermediate must be a positive multiple of 128";
  if (shape.experts <= 0) return "experts must be positive";
  if (shape.top_k <= 0 || shape.top_k > shape.experts) return "top_k must lie in 1..experts";
  if (shape.shared_experts < 0) return "shared_experts must not be negative";
  if (shape.local_experts <= 0 || shape.first_expert < 0 ||
      shape.first_expert + shape.local_experts > shape.experts)
    return "the local experts must be a non-empty range within 0..experts";
  if (shape.groups() > kMaxGroups) return "more than 512 local and shared experts";
  const long long rows =
      static_cast<long long>(shape.tokens) * (shape.top_k + shape.shared_experts);
  if (rows > (1LL << 30)) return "more than 2^30 permuted rows";
  return nullptr;
}

}  // namespace ridge::kernels::moe
