// Wide expert parallelism (DeepSeek-V3's deployment): every GPU keeps its own requests and a few
// experts; each MoE layer sends the tokens to their experts and back, all GPUs to all. With two
// micro-batches the messages of one overlap the kernels of the other (two-batch overlap).
#include "ridge/models/messages.hpp"
#include "strategies.hpp"

#include <array>

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

StepGraph compile_wide_expert_parallel(const Deployment& d, std::uint32_t drawn_layers) {
  StepGraphBuilder graph;
  const ResourceId kernels = graph.resource({{}, true});
  const ResourceId links = graph.resource({{}, false});
  const auto ranks = static_cast<std::uint32_t>(d.pools[0].gpus_per_instance);

  std::vector<TaskId> before;
  std::uint32_t number = 0;
  for (const StepLayer& layer : step_layers(d, drawn_layers)) {
    const auto& ffn = d.model.ffns[layer.blocks.ffn];
    const auto block = static_cast<std::uint32_t>(layer.blocks.ffn);
    const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
    const models::Precisions& precisions = d.model.precisions;
    // Tokens are brought to the experts' width where they are.
    const std::int64_t width = models::routed_width(ffn, d.model.hidden);
    const WorkId attention =
        graph.work(AttentionWork{.block = static_cast<std::uint32_t>(layer.blocks.attention),
                                 .next_ffn = block,
                                 .queries = layer.queries,
                                 .ranks = static_cast<std::uint32_t>(d.attention_tensor_parallel)});
    TaskId done = graph.task(attention, kernels, number, before);
    const auto exchange = [&](double bytes_per_copy, bool returning) {
      // A copy of the token for each expert it chose.
      const WorkId work = graph.work(Exchange{.bytes_per_copy = bytes_per_copy,
                                              .top_k = static_cast<std::uint32_t>(moe->top_k),
                                              .queries = layer.queries,
                                              .layer = layer.expert_layer,
                                              .experts = static_cast<std::uint32_t>(moe->experts),
                                              .returning = returning,
                                              .ranks = ranks});
      done = graph.task(work, links, number, std::array{done});
    };
    if (moe != nullptr && ranks > 1) {
      exchange(
          dispatch_bytes(width, precisions.wire_dispatch, moe->top_k, models::MessageCount::whole)
              .value(),
          false);
    }
    const WorkId work =
        graph.work(FfnWork{.block = block, .layer = layer.expert_layer, .queries = layer.queries});
    done = graph.task(work, kernels, number, std::array{done});
    if (moe != nullptr && ranks > 1)
      exchange((static_cast<double>(width) * bytes_per_value(precisions.wire_combine)).value(),
               true);
    before = {done};
    ++number;
  }
  const WorkId head =
      graph.work(HeadWork{.queries = static_cast<std::uint32_t>(d.queries_per_step())});
  graph.task(head, kernels, number, before);
  return graph.compile();
}

}  // namespace ridge::decode
