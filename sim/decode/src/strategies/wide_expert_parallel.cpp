// Wide expert parallelism (DeepSeek-V3's deployment): every GPU keeps its own requests and a few
// experts; each MoE layer sends the tokens to their experts and back, all GPUs to all. With two
// micro-batches the messages of one overlap the kernels of the other (two-batch overlap). Where all
// GPUs gather all tokens, FFNs may also be sliced (data-parallel attention, as SGLang calls it).
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
  const Pool& gpus = d.pools[0];
  if (d.ffn_expert_parallel * d.ffn_tensor_parallel != gpus.gpus_per_instance) {
    problems.push_back(
        fmt::format("strategy \"wide_expert_parallel\" splits FFNs over all {} GPUs: "
                    "ffn_expert_parallel {} times ffn_tensor_parallel {} is not that",
                    gpus.gpus_per_instance, d.ffn_expert_parallel, d.ffn_tensor_parallel));
  } else if (d.ffn_tensor_parallel != 1 && !gathers(d.exchange)) {
    problems.push_back(fmt::format(
        "ffn_tensor_parallel {} slices FFNs, so that every GPU needs all tokens: expected an "
        "exchange \"gather_scatter\" or \"gather_sum\", or ffn_expert_parallel {}",
        d.ffn_tensor_parallel, gpus.gpus_per_instance));
  }
  if (!gathers(d.exchange)) return;
  if (gpus.gpus_per_instance <= gpus.gpus_per_node) return;
  if (d.collectives == CollectiveTiming::kernel_model) {
    problems.push_back(fmt::format(
        "exchange by gathers over {} GPUs crosses nodes of {}, which kernel models do not "
        "time: collectives \"links\" does",
        gpus.gpus_per_instance, gpus.gpus_per_node));
  }
  if (gpus.gpus_per_instance % gpus.gpus_per_node != 0) {
    problems.push_back(fmt::format("{} GPUs are not whole nodes of {}", gpus.gpus_per_instance,
                                   gpus.gpus_per_node));
  }
}

namespace {

// One batch's step, written task by task.
class WideStep {
 public:
  WideStep(const Deployment& d, std::uint32_t drawn_layers)
      : d_(d),
        schedule_(d.schedule.value_or(Schedule::fifo)),
        ranks_(static_cast<std::uint32_t>(d.pools[0].gpus_per_instance)),
        kernels_(graph_.resource({{}, true})),
        links_(gathers(d.exchange) && !d.scale_up_overlaps_compute ? kernels_
                                                                   : graph_.resource({{}, false})) {
    for (const StepLayer& layer : step_layers(d, drawn_layers)) {
      add(layer);
      ++number_;
    }
    // Of all batches together, once they are through.
    stage_ += static_cast<std::uint32_t>(d.micro_batches) * stages_apart(schedule_);
    compute(HeadWork{.queries = static_cast<std::uint32_t>(d.queries_per_step())});
  }

  [[nodiscard]] StepGraph compile() const { return graph_.compile(); }

 private:
  struct Layer {
    AttentionWork attention;
    FfnWork experts;
    Work dispatch;
    Work combine;
    bool shared = false;  // whether it has shared experts
  };

  void add(const StepLayer& step_layer) {
    const auto block = static_cast<std::uint32_t>(step_layer.blocks.ffn);
    const models::FfnBlock& ffn = d_.model.ffns[step_layer.blocks.ffn];
    const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
    Layer layer;
    layer.attention = {.block = static_cast<std::uint32_t>(step_layer.blocks.attention),
                       .next_ffn = block,
                       .queries = step_layer.queries,
                       .ranks = static_cast<std::uint32_t>(d_.attention_tensor_parallel)};
    layer.experts = {
        .block = block, .layer = step_layer.expert_layer, .queries = step_layer.queries};
    if (moe == nullptr && d_.ffn_tensor_parallel > 1) {
      // Each group that slices it works on its own tokens.
      gather(step_layer, d_.model.hidden, static_cast<std::uint32_t>(d_.ffn_tensor_parallel),
             layer);
      in_turn(layer);
      return;
    }
    // Layers without exchanges are in the stage of what is behind them.
    if (moe == nullptr || ranks_ == 1) {
      compute(layer.attention);
      compute(layer.experts);
      return;
    }
    // Tokens are brought to the experts' width where they are. A copy of the token for each expert
    // it chose.
    const std::int64_t width = models::routed_width(ffn, d_.model.hidden);
    const models::Precisions& precisions = d_.model.precisions;
    layer.shared = moe->shared_intermediate > 0;
    if (gathers(d_.exchange)) {
      gather(step_layer, width, ranks_, layer);
      add_moe(layer);
      return;
    }
    Exchange dispatch = {.bytes_per_copy = dispatch_bytes(width, precisions.wire_dispatch,
                                                          moe->top_k, models::MessageCount::whole)
                                               .value(),
                         .top_k = static_cast<std::uint32_t>(moe->top_k),
                         .queries = step_layer.queries,
                         .layer = step_layer.expert_layer,
                         .experts = static_cast<std::uint32_t>(moe->experts),
                         .ranks = ranks_};
    layer.dispatch = dispatch;
    dispatch.bytes_per_copy =
        (static_cast<double>(width) * bytes_per_value(precisions.wire_combine)).value();
    dispatch.returning = true;
    layer.combine = dispatch;
    add_moe(layer);
  }

  // Tokens travel in the activations' precision, or in four bits where experts compute in them
  // (TensorRT-LLM's fused_moe_cutlass.py quantizes first, as SGLang can); sums in the former.
  // `ranks`: that gather what they have, all such groups at once.
  void gather(const StepLayer& step_layer, std::int64_t width, std::uint32_t ranks,
              Layer& layer) const {
    const models::FfnBlock& ffn = d_.model.ffns[step_layer.blocks.ffn];
    const models::Precisions& precisions = d_.model.precisions;
    const double values =
        static_cast<double>(width) * step_layer.queries * ranks / static_cast<double>(ranks_);
    Collective way{.pattern = Collective::Pattern::all_gather, .ranks = ranks, .padded = true};
    const bool four_bits = ffn.compute == models::Precision::fp4;
    const models::Precision sent = four_bits ? ffn.compute : precisions.activations;
    way.bytes_per_token = values * bytes_per_value(sent).value();
    layer.dispatch = way;
    way.pattern = d_.exchange == ExchangeWay::gather_sum ? Collective::Pattern::all_reduce
                                                         : Collective::Pattern::reduce_scatter;
    way.bytes_per_token = values * bytes_per_value(precisions.activations).value();
    layer.combine = way;
  }

  void add_moe(const Layer& layer) {
    switch (schedule_) {
      case Schedule::staged:
        return add_staged(layer);
      case Schedule::ping_pong:
        return add_ping_pong(layer);
      case Schedule::fifo:
      case Schedule::cyclic:
        return in_turn(layer);
    }
  }

  void in_turn(const Layer& layer) {
    compute(layer.attention);
    exchange(layer.dispatch);
    compute(layer.experts);
    exchange(layer.combine);
  }

  // The five stages of SGLang's two-batch overlap (_compute_moe_deepseek_blog_decode in its
  // operations_strategy.py), which are DeepSeek's own: projections; attention and router; dispatch
  // sent, shared experts; dispatch received, routed experts, combine sent; combine received.
  void add_staged(const Layer& layer) {
    compute(piece_of(layer.attention, AttentionPiece::projections));
    ++stage_;
    compute(piece_of(layer.attention, AttentionPiece::cache));
    ++stage_;
    compute(piece_of(layer.attention, AttentionPiece::send));
    const std::vector<TaskId> shared = beside_shared(layer);
    exchange(layer.dispatch);
    ++stage_;
    compute(piece_of(layer.experts, FfnPiece::routed));
    exchange(layer.combine);
    ++stage_;
    before_.insert(before_.end(), shared.begin(), shared.end());
    compute(piece_of(layer.attention, AttentionPiece::receive));
    ++stage_;
  }

  // vLLM's dual batch overlap (docs/design/dbo.md): a batch yields to the other where it has sent
  // its tokens, and where it has sent its results and is through with its shared experts.
  void add_ping_pong(const Layer& layer) {
    compute(layer.attention);
    exchange(layer.dispatch);
    ++stage_;
    compute(piece_of(layer.experts, FfnPiece::routed));
    const std::vector<TaskId> shared = beside_shared(layer);
    exchange(layer.combine);
    before_.insert(before_.end(), shared.begin(), shared.end());
    ++stage_;
  }

  template <typename StageWork, typename Piece>
  [[nodiscard]] static StageWork piece_of(StageWork work, Piece piece) {
    work.piece = piece;
    return work;
  }

  // Shared experts behind what is done, for which what comes next does not wait.
  [[nodiscard]] std::vector<TaskId> beside_shared(const Layer& layer) {
    if (!layer.shared) return {};
    const std::vector<TaskId> before = before_;
    compute(piece_of(layer.experts, FfnPiece::shared));
    return std::exchange(before_, before);
  }

  void compute(const Work& work) {
    before_ = {graph_.task(graph_.work(work), kernels_, number_, before_, stage_)};
  }
  void exchange(const Work& work) {
    before_ = {graph_.task(graph_.work(work), links_, number_, before_, stage_)};
  }

  const Deployment& d_;
  Schedule schedule_;
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
