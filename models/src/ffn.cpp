#include "ridge/models/ffn.hpp"

#include "ridge/base/keys.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace ridge::models {
namespace {

constexpr double kMaxDim = 16777216;
constexpr double kMaxExperts = 1048576;

struct Emitter {
  const FfnBlock& block;
  const Precisions& precisions;
  std::int64_t hidden;
  OperatorList& out;

  void gemm(std::string_view name, double m, std::int64_t n, std::int64_t k, WeightFormat weights,
            Precision input, Precision output) const {
    out.add(name, Part::ffn,
            Gemm{.m = m,
                 .n = n,
                 .k = k,
                 .weights = weights.precision,
                 .compute = block.compute,
                 .input = input,
                 .output = output,
                 .weight_scales = weights.scales.bytes_per_weight()});
  }

  void grouped(std::string_view name, const GroupedGemm& rows, std::int64_t n, std::int64_t k,
               Precision input, Precision output) const {
    GroupedGemm shape = rows;
    shape.n = n;
    shape.k = k;
    shape.weights = block.weights;
    shape.weight_scales = block.weight_scales.bytes_per_weight();
    shape.compute = block.compute;
    shape.input = input;
    shape.output = output;
    out.add(name, Part::ffn, shape);
  }

  void elementwise(std::string_view name, double read, double written, Precision output) const {
    out.add(name, Part::elementwise,
            Elementwise{.values_read = read,
                        .values_written = written,
                        .input = precisions.activations,
                        .output = output});
  }

  void around_experts(Elementwise::Kind kind, std::string_view name, double read, double written,
                      Precision output) const {
    out.add(name, Part::elementwise,
            Elementwise{.kind = kind,
                        .values_read = read,
                        .values_written = written,
                        .input = precisions.activations,
                        .output = output});
  }

  // A dense two-layer network on `tokens` tokens: a dense FFN, or the shared experts.
  void dense(std::string_view up, std::string_view act, std::string_view down, double tokens,
             std::int64_t intermediate, bool gated, WeightFormat weights) const {
    const std::int64_t width = (gated ? 2 : 1) * intermediate;
    gemm(up, tokens, width, hidden, weights, block.compute, precisions.activations);
    elementwise(act, tokens * static_cast<double>(width),
                tokens * static_cast<double>(intermediate), block.compute);
    gemm(down, tokens, hidden, intermediate, weights, block.compute, precisions.activations);
  }
};

void emit(const DenseFfn& ffn, const Emitter& e, double tokens, const FfnShard& shard) {
  e.dense("gate_up", "activation", "down", tokens * shard.own_tokens,
          ffn.intermediate / shard.tensor_parallel, ffn.gated, e.block.weight_format());
}

void emit(const NoFfn& /*ffn*/, const Emitter& /*e*/, double /*tokens*/,
          const FfnShard& /*shard*/) {}

// Of the router's choices, those that are experts with weights.
double chosen_experts(const MoeFfn& ffn) {
  const auto experts = static_cast<double>(ffn.experts);
  return static_cast<double>(ffn.top_k) * experts /
         (experts + static_cast<double>(ffn.identity_experts));
}

void emit(const MoeFfn& ffn, const Emitter& e, double tokens, const FfnShard& shard) {
  const double own = tokens * shard.own_tokens;
  const std::int64_t token = routed_width(e.block, e.hidden);
  const auto hidden = static_cast<double>(token);
  const double top_k = chosen_experts(ffn);
  const auto experts = static_cast<double>(ffn.experts);
  const std::int64_t held =
      shard.experts ? shard.experts->held : ffn.experts / shard.expert_parallel;
  GroupedGemm rows;
  rows.rows = tokens * top_k / static_cast<double>(shard.expert_parallel) * shard.load;
  rows.experts = held;
  rows.active_experts =
      shard.experts ? shard.experts->active
                    : expected_active_experts(static_cast<double>(held), top_k / experts, tokens);
  if (shard.own_tokens < 1.0 && !shard.gathered) {
    // Sent here: the tokens that chose any expert of this rank, with no other choice of theirs.
    const double share = std::min(1.0, shard.load / static_cast<double>(shard.expert_parallel));
    rows.tokens = expected_active_experts(tokens, share, top_k);
    rows.routed_rows = rows.rows;
  } else {
    rows.tokens = tokens;
    rows.routed_rows = tokens * top_k;
  }
  const std::int64_t intermediate = ffn.expert_intermediate / shard.tensor_parallel;
  const std::int64_t width = (ffn.gated ? 2 : 1) * intermediate;
  if (ffn.latent > 0) {
    e.gemm("latent_down", own, ffn.latent, e.hidden, e.block.weight_format(), e.block.compute,
           e.precisions.activations);
  }
  e.around_experts(Elementwise::Kind::expert_permutation, "permute", own * hidden,
                   rows.rows * hidden, e.block.compute);
  if (ffn.gated) rows.kind = GroupedGemm::Kind::up;
  e.grouped("expert_gate_up", rows, width, token, e.block.compute, e.precisions.activations);
  e.around_experts(Elementwise::Kind::expert_activation, "expert_activation",
                   rows.rows * static_cast<double>(width),
                   rows.rows * static_cast<double>(intermediate), e.block.compute);
  if (ffn.gated) rows.kind = GroupedGemm::Kind::down;
  e.grouped("expert_down", rows, token, intermediate, e.block.compute, e.precisions.activations);
  if (ffn.shared_intermediate > 0) {
    const std::size_t first = e.out.size();
    e.dense("shared_gate_up", "shared_activation", "shared_down", own,
            ffn.shared_intermediate / shard.tensor_parallel, ffn.gated,
            ffn.shared_weights.value_or(e.block.weight_format()));
    for (Operator* op = e.out.begin() + first; op != e.out.end(); ++op) {
      op->purpose = Purpose::shared_experts;
    }
  }
  if (ffn.dense_intermediate > 0) {
    e.dense("gate_up", "activation", "down", own, ffn.dense_intermediate / shard.tensor_parallel,
            ffn.gated, e.block.weight_format());
  }
  e.around_experts(Elementwise::Kind::expert_combination, "combine", rows.rows * hidden,
                   own * hidden, e.precisions.activations);
  if (ffn.latent > 0) {
    e.gemm("latent_up", own, e.hidden, ffn.latent, e.block.weight_format(), e.block.compute,
           e.precisions.activations);
  }
}

// Every rank has the tables' part of its tokens, and the two projections whole.
void emit_layer_input(const Emitter& e, double tokens) {
  const auto width = static_cast<double>(e.block.layer_input);
  const double values = tokens * static_cast<double>(e.hidden);
  e.gemm("layer_input_gate", tokens, e.block.layer_input, e.hidden, e.block.weight_format(),
         e.block.compute, e.precisions.activations);
  e.elementwise("layer_input", 2.0 * tokens * width, tokens * width, e.block.compute);
  e.gemm("layer_input_up", tokens, e.hidden, e.block.layer_input, e.block.weight_format(),
         e.block.compute, e.precisions.activations);
  e.elementwise("layer_input_norm", 2.0 * values, values, e.precisions.activations);
}

double dense_parameters(double hidden, std::int64_t intermediate, bool gated) {
  return (gated ? 3.0 : 2.0) * hidden * static_cast<double>(intermediate);
}

FfnParameters parameters(const DenseFfn& ffn, double hidden) {
  const double all = dense_parameters(hidden, ffn.intermediate, ffn.gated);
  return {.total = all, .active = all, .routed = 0.0};
}

FfnParameters parameters(const NoFfn& /*ffn*/, double /*hidden*/) {
  return {};
}

double expert_biases(const MoeFfn& ffn, double width) {
  return (ffn.gated ? 2.0 : 1.0) * static_cast<double>(ffn.expert_intermediate) + width;
}
// Of all experts and the router.
double biases(const MoeFfn& ffn, double hidden) {
  return static_cast<double>(ffn.experts) *
         (expert_biases(ffn, ffn.latent > 0 ? static_cast<double>(ffn.latent) : hidden) + 1.0);
}

FfnParameters parameters(const MoeFfn& ffn, double hidden) {
  const auto experts = static_cast<double>(ffn.experts);
  const double latent = ffn.latent > 0 ? static_cast<double>(ffn.latent) : hidden;
  double expert = dense_parameters(latent, ffn.expert_intermediate, ffn.gated);
  const double choices = experts + static_cast<double>(ffn.identity_experts);
  double rest = choices * hidden + (ffn.latent > 0 ? 2.0 * hidden * latent : 0.0) +
                dense_parameters(hidden, ffn.shared_intermediate, ffn.gated) +
                dense_parameters(hidden, ffn.dense_intermediate, ffn.gated);
  if (ffn.biases) {
    expert += expert_biases(ffn, latent);
    rest += experts;
  }
  return {.total = experts * expert + rest,
          .active = chosen_experts(ffn) * expert + rest,
          .routed = experts * expert};
}

}  // namespace

double expected_active_experts(double experts, double top_k_share, double tokens) {
  if (top_k_share >= 1.0) return tokens > 0.0 ? experts : 0.0;
  return experts * -std::expm1(tokens * std::log1p(-top_k_share));
}

void routing_operators(const FfnBlock& block, const Precisions& precisions, std::int64_t hidden,
                       double tokens, OperatorList& out) {
  if (std::holds_alternative<NoFfn>(block.kind)) return;
  const Emitter e{block, precisions, hidden, out};
  const double values = tokens * static_cast<double>(hidden);
  residual_operators(block.residual_streams, precisions, hidden, tokens, out);
  e.elementwise("ffn_norm", values, values, block.compute);
  out.last().purpose = Purpose::residual_norm;
  const auto* moe = std::get_if<MoeFfn>(&block.kind);
  if (moe == nullptr) return;
  out.add("router", Part::router,
          Gemm{.m = tokens,
               .n = moe->experts + moe->identity_experts,
               .k = hidden,
               .weights = moe->router,
               .compute = moe->router,
               .input = precisions.activations,
               .output = Precision::fp32});
  e.elementwise("route", tokens * static_cast<double>(moe->experts),
                tokens * static_cast<double>(moe->top_k), Precision::fp32);
  out.last().purpose = Purpose::expert_choice;
}

void ffn_operators(const FfnBlock& block, const Precisions& precisions, std::int64_t hidden,
                   double tokens, const FfnShard& shard, OperatorList& out) {
  const Emitter emitter{block, precisions, hidden, out};
  std::visit([&](const auto& kind) { emit(kind, emitter, tokens, shard); }, block.kind);
  if (block.layer_input > 0) emit_layer_input(emitter, tokens * shard.own_tokens);
}

FfnParameters ffn_parameters(const FfnBlock& block, std::int64_t hidden) {
  const auto width = static_cast<double>(hidden);
  FfnParameters p =
      std::visit([&](const auto& kind) { return parameters(kind, width); }, block.kind);
  if (std::holds_alternative<NoFfn>(block.kind)) return p;
  double around = width + residual_parameters(block.residual_streams, hidden);
  // Gate, projection, norm.
  if (block.layer_input > 0) around += (2.0 * static_cast<double>(block.layer_input) + 1.0) * width;
  p.total += around;
  p.active += around;
  return p;
}

std::int64_t routed_width(const FfnBlock& block, std::int64_t hidden) {
  const auto* moe = std::get_if<MoeFfn>(&block.kind);
  return moe != nullptr && moe->latent > 0 ? moe->latent : hidden;
}

Bytes routed_weight_bytes(const FfnBlock& block, std::int64_t hidden) {
  return ffn_parameters(block, hidden).routed * block.weight_format().bytes();
}

Bytes ffn_weight_bytes(const FfnBlock& block, std::int64_t hidden) {
  Bytes total = ffn_parameters(block, hidden).total * block.weight_format().bytes();
  if (const auto* moe = std::get_if<MoeFfn>(&block.kind)) {
    const auto width = static_cast<double>(hidden);
    // The router is kept as it computes, and biases are in BF16.
    const auto instead = [&](double count, Bytes each) {
      total += count * (each - block.weight_format().bytes());
    };
    instead(static_cast<double>(moe->experts + moe->identity_experts) * width,
            bytes_per_value(moe->router));
    if (moe->biases) instead(biases(*moe, width), bytes_per_value(Precision::bf16));
    const WeightFormat shared = moe->shared_weights.value_or(block.weight_format());
    instead(dense_parameters(width, moe->shared_intermediate, moe->gated), shared.bytes());
  }
  return total;
}

namespace {

constexpr std::array<std::string_view, 3> kKindNames = {"dense", "moe", "none"};

template <typename Kind>
void* held_ffn(void* block, std::size_t /*index*/) {
  return std::get_if<Kind>(&static_cast<FfnBlock*>(block)->kind);
}

template <typename Kind>
KeyCase kind_keys(std::string doc, std::vector<Key<FfnBlock>> common) {
  const std::string_view word = kKindNames[decltype(FfnBlock::kind)(Kind{}).index()];
  return {std::string(word), std::move(doc),
          [](void* object) { static_cast<FfnBlock*>(object)->kind.emplace<Kind>(); },
          [](const void* object) {
            return std::holds_alternative<Kind>(static_cast<const FfnBlock*>(object)->kind);
          },
          keys::joined(keys_of(static_cast<const Kind*>(nullptr)), {held_ffn<Kind>},
                       key_table<FfnBlock>("", "", std::move(common)))};
}

// Of the two that have weights.
std::vector<Key<FfnBlock>> common_keys() {
  using B = FfnBlock;
  std::vector<Key<B>> out;
  out.push_back(key_in<&B::own_weights, &OwnFormat::precision>(
      "weights_precision", "The model's where absent.", precision_names()));
  out.push_back(key_in<&B::own_weights, &OwnFormat::scales>(
                    "weights_scales", "Beside weights of their own precision.")
                    .optional()
                    .fixed());
  out.push_back(
      key<&B::own_compute>("compute_precision", "The model's where absent.", precision_names()));
  out.push_back(
      key<&B::layer_input>("layer_input",
                           "Width of an input of the layer's own, which a table holds for every "
                           "token (per-layer embeddings); 0 for none.",
                           between(0, kMaxDim))
          .optional());
  return out;
}

}  // namespace

static const KeyTable& keys_of(const DenseFfn* /*of*/) {
  static const KeyTable table = key_table<DenseFfn>(
      "", "",
      {
          key<&DenseFfn::intermediate>("intermediate", "", between(1, kMaxDim)),
          key<&DenseFfn::gated>("gated", "Gate and up projections (SwiGLU); otherwise up alone.")
              .optional(),
      });
  return table;
}

static const KeyTable& keys_of(const MoeFfn* /*of*/) {
  using F = MoeFfn;
  static const KeyTable table = key_table<F>(
      "", "",
      {
          key<&F::experts>("experts", "That the router chooses from.", between(1, kMaxExperts)),
          key<&F::top_k>("top_k", "That a token goes to.", between(1, kMaxExperts)),
          key<&F::expert_intermediate>("expert_intermediate", "Of one expert.",
                                       between(1, kMaxDim)),
          key<&F::shared_intermediate>("shared_intermediate",
                                       "Of all shared experts together; 0 for none.",
                                       between(0, kMaxDim))
              .optional(),
          key<&F::gated>("gated", "Gate and up projections (SwiGLU); otherwise up alone.")
              .optional(),
          key<&F::biases>("biases", "On experts and router.").optional(),
          key<&F::router>("router_precision", "", precision_names()).optional(),
          key_in<&F::shared_weights, &OwnFormat::precision>(
              "shared_weights_precision", "Of shared experts; the routed ones' where absent.",
              precision_names()),
          key_in<&F::shared_weights, &OwnFormat::scales>(
              "shared_weights_scales", "Beside shared weights of their own precision.")
              .optional(),
          key<&F::latent>("latent",
                          "Width that the routed experts work at, between two projections; 0 for "
                          "the hidden size.",
                          between(0, kMaxDim))
              .optional(),
          key<&F::dense_intermediate>("dense_intermediate",
                                      "Of a dense FFN beside the experts; 0 for none.",
                                      between(0, kMaxDim))
              .optional(),
          key<&F::identity_experts>("identity_experts",
                                    "That hand their token back; the router chooses them too.",
                                    between(0, kMaxExperts))
              .optional(),
      });
  return table;
}

static const KeyTable& keys_of(const NoFfn* /*of*/) {
  static const KeyTable table = key_table<NoFfn>("", "", {});
  return table;
}

const KeyTable& keys_of(const FfnBlock* /*of*/) {
  static const KeyTable table =
      key_table<FfnBlock>(
          "ffn", "A feed-forward layer.", {},
          cases("kind", "",
                {
                    kind_keys<DenseFfn>("One network for every token.", common_keys()),
                    kind_keys<MoeFfn>("Experts, of which each token goes to some.", common_keys()),
                    kind_keys<NoFfn>("A layer without an FFN.", {}),
                }))
          .relation(
              [](const JsonNode& node, const void*) {
                check_weights_scales(node);
                check_weights_scales(node, "shared_");
              },
              R"({"dependencies": {"weights_scales": ["weights_precision"],
                                  "shared_weights_scales": ["shared_weights_precision"]}})");
  return table;
}

std::string_view kind_name(const FfnBlock& block) {
  return kKindNames[block.kind.index()];
}

Problem ffn_problem(const FfnBlock& block) {
  if (const auto* moe = std::get_if<MoeFfn>(&block.kind)) {
    if (moe->top_k > moe->experts + moe->identity_experts) {
      return {"/top_k",
              fmt::format("top_k ({}) is more than experts ({})", moe->top_k, moe->experts)};
    }
  }
  return {};
}

}  // namespace ridge::models
