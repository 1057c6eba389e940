#include "kinds.hpp"

#include <fmt/format.h>

namespace ridge::models {
namespace {

// Of a value of the state: decay 1, input 2 (its product and its sum), readout 2.
constexpr double kFlopPerStateValue = 5.0;

struct Widths {
  std::int64_t heads;
  std::int64_t inner;     // values
  std::int64_t channels;  // of the convolution: values, and the groups' inputs and outputs

  Widths(const Mamba2Attention& kind, std::int64_t ranks)
      : heads(kind.heads / ranks),
        inner(heads * kind.head_dim),
        // A group is kept whole on every rank that has heads of it.
        channels(inner + 2 * std::max<std::int64_t>(kind.groups / ranks, 1) * kind.state_dim) {}
};

}  // namespace

void emit(const Mamba2Attention& kind, const AttentionContext& c) {
  const Widths w(kind, c.shard.tensor_parallel);
  c.projection("in_projection", Projection::query, w.inner + w.channels + w.heads, c.hidden);
  c.convolution(kind.convolution, w.channels);
  c.out.add("state_update", Part::attention,
            StateUpdate{.kind = StateUpdate::Kind::mamba2,
                        .sequences = c.shape.sequences,
                        .queries_per_sequence = c.shape.queries_per_sequence,
                        .heads = w.heads,
                        .key_dim = kind.state_dim,
                        .value_dim = kind.head_dim,
                        .flop_per_state_value = kFlopPerStateValue,
                        .state = kind.state,
                        .compute = c.block.compute});
  c.elementwise("gated_norm", w.inner);
  c.output_projection(w.inner);
}

void count(const Mamba2Attention& kind, double hidden, ProjectionParameters& out) {
  const Widths w(kind, 1);
  const auto inner = static_cast<double>(w.inner);
  const auto channels = static_cast<double>(w.channels);
  const auto heads = static_cast<double>(w.heads);
  out.add(Projection::query, hidden * (inner + channels + heads));
  out.add(Projection::output, inner * hidden);
  // The convolution and its bias; decay, skip and step of each head; the gated norm.
  out.add(Projection::other,
          channels * static_cast<double>(kind.convolution + 1) + 3.0 * heads + inner);
}

Bytes cache(const Mamba2Attention& kind, Precision /*precision*/, double /*tokens*/) {
  const Widths w(kind, 1);
  return static_cast<double>(w.inner * kind.state_dim) * bytes_per_value(kind.state) +
         static_cast<double>((kind.convolution - 1) * w.channels) *
             bytes_per_value(Precision::bf16);
}

std::int64_t cache_ranks(const Mamba2Attention& /*kind*/, std::int64_t tensor_parallel) {
  return tensor_parallel;
}

std::int64_t rank(const Mamba2Attention& /*kind*/) {
  return 0;
}

std::int64_t split_heads(const Mamba2Attention& kind) {
  return kind.heads;
}

const KeyTable& keys_of(const Mamba2Attention* /*of*/) {
  using A = Mamba2Attention;
  static const KeyTable table = key_table<A>(
      "", "",
      {
          key<&A::heads>("heads", "", heads()),
          key<&A::head_dim>("head_dim", "", dims()),
          key<&A::groups>("groups", "Of heads that share their state's input and output vectors.",
                          heads()),
          key<&A::state_dim>("state_dim", "The state of a head is head_dim x state_dim.", dims()),
          key<&A::convolution>("convolution", "Width of the short causal convolution.",
                               between(1, 64)),
          key<&A::state>("state_precision", "As it is kept.", precision_names()),
      });
  return table;
}

Problem problem(const Mamba2Attention& kind) {
  if (kind.heads % kind.groups != 0) {
    return {"/groups",
            fmt::format("heads ({}) is not a multiple of groups ({})", kind.heads, kind.groups)};
  }
  return {};
}

}  // namespace ridge::models
