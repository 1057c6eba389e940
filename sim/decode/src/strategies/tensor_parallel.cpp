// Tensor parallelism: every GPU holds a slice of every layer, and each half layer ends in an
// all-reduce over the scale-up links, and over the NICs where the GPUs fill several nodes.
#include "strategies.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::decode {

void check_tensor_parallel(const Deployment& d, Problems& problems) {
  if (!d.one_pool()) {
    problems.push_back("strategy \"tensor_parallel\" has one pool, \"gpus\"");
    return;
  }
  const Pool& gpus = d.pools[0];
  if (gpus.instances != 1) {
    problems.push_back("strategy \"tensor_parallel\" is one synchronous group: instances is 1");
  }
  if (gpus.gpus_per_instance > gpus.gpus_per_node) {
    if (d.collectives == CollectiveTiming::kernel_model) {
      problems.push_back(
          fmt::format("tensor parallelism over {} GPUs crosses nodes of {}, which kernel models do "
                      "not time: collectives \"links\" does",
                      gpus.gpus_per_instance, gpus.gpus_per_node));
    }
    if (gpus.gpus_per_instance % gpus.gpus_per_node != 0) {
      problems.push_back(fmt::format("{} GPUs are not whole nodes of {}", gpus.gpus_per_instance,
                                     gpus.gpus_per_node));
    }
  }
  if (!d.network.all_reduce.empty() && gpus.gpus_per_instance <= gpus.gpus_per_node) {
    problems.push_back(
        "\"all_reduce\" of the network is of sums over several nodes, and all GPUs "
        "are in one");
  }
  if (d.attention_tensor_parallel != gpus.gpus_per_instance) {
    problems.push_back(
        fmt::format("strategy \"tensor_parallel\" splits attention over all {} GPUs, "
                    "got tensor_parallel {}",
                    gpus.gpus_per_instance, d.attention_tensor_parallel));
  }
  if (d.ffn_tensor_parallel * d.ffn_expert_parallel != gpus.gpus_per_instance) {
    problems.push_back(
        fmt::format("tensor_parallel x expert_parallel of the FFN ({} x {}) must be "
                    "its {} GPUs",
                    d.ffn_tensor_parallel, d.ffn_expert_parallel, gpus.gpus_per_instance));
  }
}

StepGraph compile_tensor_parallel(const Deployment& d, std::uint32_t drawn_layers) {
  StepGraphBuilder graph;
  const ResourceId kernels = graph.resource({{}, true});
  const ResourceId links = d.scale_up_overlaps_compute ? graph.resource({{}, false}) : kernels;
  const auto ranks = static_cast<std::uint32_t>(d.pools[0].gpus_per_instance);

  std::vector<TaskId> before;
  std::uint32_t number = 0;
  for (const StepLayer& layer : step_layers(d, drawn_layers)) {
    const auto block = static_cast<std::uint32_t>(layer.blocks.ffn);
    const double hidden_bytes = static_cast<double>(d.model.hidden) *
                                bytes_per_value(d.model.precisions.activations).value() *
                                layer.queries;
    const auto stage = [&](const Work& work) {
      before = {graph.task(graph.work(work), kernels, number, before)};
      if (ranks == 1) return;
      const WorkId sum = graph.work(Collective{.pattern = Collective::Pattern::all_reduce,
                                               .bytes_per_token = hidden_bytes,
                                               .ranks = ranks});
      before = {graph.task(sum, links, number, before)};
    };
    stage(AttentionWork{.block = static_cast<std::uint32_t>(layer.blocks.attention),
                        .next_ffn = block,
                        .queries = layer.queries});
    stage(FfnWork{.block = block, .layer = layer.expert_layer, .queries = layer.queries});
    ++number;
  }
  const WorkId head =
      graph.work(HeadWork{.queries = static_cast<std::uint32_t>(d.queries_per_step())});
  graph.task(head, kernels, number, before);
  return graph.compile();
}

}  // namespace ridge::decode
