// Wide expert parallelism (DeepSeek-V3's deployment): every GPU keeps its own requests and a few
// experts; each MoE layer sends the tokens to their experts and back, all GPUs to all. With two
// micro-batches the messages of one overlap the kernels of the other (two-batch overlap).
#include "ridge/models/messages.hpp"
#include "strategies.hpp"

#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ridge::decode {

void check_wide_expert_parallel(const Deployment& d, Problems& problems) {
  if (!d.one_pool()) {
    problems.push_back("strategy \"wide_expert_parallel\" has one pool, \"gpus\"");
    return;
  }
  if (d.pools[0].instances != 1) {
    problems.push_back(
        "strategy \"wide_expert_parallel\" is one synchronous group: instances is 1");
  }
  if (d.ffn_expert_parallel != d.pools[0].gpus_per_instance || d.ffn_tensor_parallel != 1) {
    problems.push_back(
        fmt::format("strategy \"wide_expert_parallel\" splits experts over all {} "
                    "GPUs and nothing else: expert_parallel {}, tensor_parallel {}",
                    d.pools[0].gpus_per_instance, d.ffn_expert_parallel, d.ffn_tensor_parallel));
  }
}

namespace {

// One batch's step, written task by task. In a fixed order its layers go in the five stages of
// SGLang's two-batch overlap (_compute_moe_deepseek_blog_decode in its operations_strategy.py) and
// of DeepSeek's own decoding: projections; attention and router; dispatch sent, shared experts;
// dispatch received, routed experts, combine sent; combine received. Layers without experts are
// stages of nothing else.
class WideStep {
 public:
  WideStep(const Deployment& d, std::uint32_t drawn_layers)
      : d_(d),
        staged_(d.schedule == Schedule::staged),
        ranks_(static_cast<std::uint32_t>(d.pools[0].gpus_per_instance)),
        kernels_(graph_.resource({{}, true})),
        links_(graph_.resource({{}, false})) {
    for (const StepLayer& layer : step_layers(d, drawn_layers)) {
      add(layer);
      ++number_;
    }
    // Of all batches together, once they are through.
    stage_ += static_cast<std::uint32_t>(d.micro_batches) * kStagesApart;
    compute(HeadWork{.queries = static_cast<std::uint32_t>(d.queries_per_step())});
  }

  [[nodiscard]] StepGraph compile() const { return graph_.compile(); }

 private:
  void add(const StepLayer& layer) {
    const auto block = static_cast<std::uint32_t>(layer.blocks.ffn);
    const models::FfnBlock& ffn = d_.model.ffns[layer.blocks.ffn];
    const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
    AttentionWork attention{.block = static_cast<std::uint32_t>(layer.blocks.attention),
                            .next_ffn = block,
                            .queries = layer.queries,
                            .ranks = static_cast<std::uint32_t>(d_.attention_tensor_parallel)};
    FfnWork experts{.block = block, .layer = layer.expert_layer, .queries = layer.queries};
    const auto piece_of_attention = [&](AttentionPiece piece) {
      attention.piece = piece;
      compute(attention);
    };
    const auto piece_of_experts = [&](FfnPiece piece) {
      experts.piece = piece;
      compute(experts);
    };
    if (moe == nullptr || ranks_ == 1) {
      compute(attention);
      compute(experts);
      return;
    }
    // Tokens are brought to the experts' width where they are.
    const std::int64_t width = models::routed_width(ffn, d_.model.hidden);
    const models::Precisions& precisions = d_.model.precisions;
    const double there =
        dispatch_bytes(width, precisions.wire_dispatch, moe->top_k, models::MessageCount::whole)
            .value();
    const double back =
        (static_cast<double>(width) * bytes_per_value(precisions.wire_combine)).value();
    if (!staged_) {
      compute(attention);
      exchange(layer, *moe, there, false);
      compute(experts);
      exchange(layer, *moe, back, true);
      return;
    }
    piece_of_attention(AttentionPiece::projections);
    ++stage_;
    piece_of_attention(AttentionPiece::cache);
    ++stage_;
    piece_of_attention(AttentionPiece::send);
    const std::vector<TaskId> sent = before_;
    std::vector<TaskId> shared;
    if (moe->shared_intermediate > 0) {
      piece_of_experts(FfnPiece::shared);
      shared = std::exchange(before_, sent);
    }
    exchange(layer, *moe, there, false);
    ++stage_;
    piece_of_experts(FfnPiece::routed);
    exchange(layer, *moe, back, true);
    ++stage_;
    before_.insert(before_.end(), shared.begin(), shared.end());
    piece_of_attention(AttentionPiece::receive);
    ++stage_;
  }

  void compute(const Work& work) {
    before_ = {graph_.task(graph_.work(work), kernels_, number_, before_, stage_)};
  }
  // A copy of the token for each expert it chose.
  void exchange(const StepLayer& layer, const models::MoeFfn& moe, double bytes_per_copy,
                bool returning) {
    const WorkId work = graph_.work(Exchange{.bytes_per_copy = bytes_per_copy,
                                             .top_k = static_cast<std::uint32_t>(moe.top_k),
                                             .queries = layer.queries,
                                             .layer = layer.expert_layer,
                                             .experts = static_cast<std::uint32_t>(moe.experts),
                                             .returning = returning,
                                             .ranks = ranks_});
    before_ = {graph_.task(work, links_, number_, before_, stage_)};
  }

  const Deployment& d_;
  bool staged_;
  std::uint32_t ranks_;
  StepGraphBuilder graph_;
  ResourceId kernels_;
  ResourceId links_;
  std::vector<TaskId> before_;  // what the next task follows
  std::uint32_t number_ = 0;    // of the layer
  std::uint32_t stage_ = 0;
};

}  // namespace

StepGraph compile_wide_expert_parallel(const Deployment& d, std::uint32_t drawn_layers) {
  return WideStep(d, drawn_layers).compile();
}

}  // namespace ridge::decode
