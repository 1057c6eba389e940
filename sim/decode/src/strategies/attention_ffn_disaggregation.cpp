// Attention-FFN disaggregation (arXiv 2507.19427 section 5): attention instances keep the requests
// and their KV, FFN instances keep the experts, and every layer sends the tokens there and back.
//
//   attention i --A2F--> [gather] FFN j [scatter] --F2A--> attention i (next layer)
//
// A layer's FFN waits for all attention instances, and the next layer's attention for all FFN
// instances.
#include "strategies.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

// Share of the tokens that an FFN instance receives.
double routed_share(const Deployment& d, const models::FfnBlock& ffn) {
  if (d.dispatch == Dispatch::broadcast) return 1.0;
  const double one = 1.0 / static_cast<double>(d.pool(Role::ffn).instances);
  // Each instance computes the dense part (or the shared expert) of an equal share of the tokens.
  const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
  if (moe == nullptr) return one;
  const double choices =
      static_cast<double>(moe->top_k) + (moe->shared_intermediate > 0 ? 1.0 : 0.0);
  return 1.0 - std::pow(1.0 - one, choices);
}

}  // namespace

void check_attention_ffn_disaggregation(const Deployment& d, Problems& problems) {
  const auto plays = [&](Role role) {
    return std::any_of(d.pools.begin(), d.pools.end(),
                       [&](const Pool& pool) { return pool.roles.has(role); });
  };
  if (d.pools.size() != 2 || !plays(Role::attention) || !plays(Role::ffn)) {
    problems.push_back("strategy \"afd\" has two pools, \"attention\" and \"ffn\"");
    return;
  }
  const Pool& attention = d.pool(Role::attention);
  const Pool& ffn = d.pool(Role::ffn);
  if (d.ffn_tensor_parallel * d.ffn_expert_parallel != ffn.gpus()) {
    problems.push_back(
        fmt::format("tensor_parallel x expert_parallel of the FFN ({} x {}) must be "
                    "its {} GPUs",
                    d.ffn_tensor_parallel, d.ffn_expert_parallel, ffn.gpus()));
  }
  if (ffn.gpus_per_instance % d.ffn_tensor_parallel != 0) {
    problems.push_back(
        fmt::format("the FFN's {} tensor-parallel GPUs must lie within an instance "
                    "of {}",
                    d.ffn_tensor_parallel, ffn.gpus_per_instance));
  }
  const auto [fewer, more] = std::minmax(attention.gpus_per_instance, ffn.gpus_per_instance);
  if (more % fewer != 0) {
    problems.push_back(
        fmt::format("GPUs of an attention and an FFN instance pair up, so {} and {} "
                    "GPUs must be multiples of each other",
                    attention.gpus_per_instance, ffn.gpus_per_instance));
  }
  if (attention.gpus_per_instance % d.output_parallel != 0) {
    problems.push_back(
        fmt::format("output_parallel ({}) must divide the attention instance's {} "
                    "GPUs",
                    d.output_parallel, attention.gpus_per_instance));
  }
}

StepGraph compile_attention_ffn_disaggregation(const Deployment& d, bool layers_differ) {
  const std::uint32_t attention_pool = d.index_of(Role::attention);
  const std::uint32_t ffn_pool = d.index_of(Role::ffn);
  const auto attentions = static_cast<std::uint32_t>(d.pools[attention_pool].instances);
  const auto ffns = static_cast<std::uint32_t>(d.pools[ffn_pool].instances);
  const auto attention_tp = static_cast<std::uint32_t>(d.attention_tensor_parallel);
  const auto tp = static_cast<std::uint32_t>(d.ffn_tensor_parallel);

  StepGraphBuilder graph;
  std::vector<ResourceId> attention_kernels;
  std::vector<ResourceId> ffn_kernels;
  std::vector<ResourceId> ffn_links;
  for (std::uint32_t i = 0; i < attentions; ++i) {
    attention_kernels.push_back(graph.resource({{attention_pool, i}, true}));
  }
  for (std::uint32_t j = 0; j < ffns; ++j) {
    ffn_kernels.push_back(graph.resource({{ffn_pool, j}, true}));
    ffn_links.push_back(d.scale_up_overlaps_compute ? graph.resource({{ffn_pool, j}, false})
                                                    : ffn_kernels.back());
  }

  // The tasks that attention instance i waits for.
  std::vector<std::vector<TaskId>> before(attentions);
  std::uint32_t partials = 0;
  std::uint32_t number = 0;
  for (const StepLayer& layer : step_layers(d)) {
    const auto& ffn = d.model.ffns[layer.blocks.ffn];
    const double share = routed_share(d, ffn);
    const double queries = layer.queries;
    const double out_bytes = dispatch_bytes_per_token(d.model, ffn) * share * queries;
    const double back_bytes = combine_bytes_per_token(d.model) * share * queries;

    std::vector<TaskId> attention(attentions);
    for (std::uint32_t i = 0; i < attentions; ++i) {
      const WorkId work =
          graph.work(AttentionWork{.at = {attention_pool, i},
                                   .block = static_cast<std::uint32_t>(layer.blocks.attention),
                                   .next_ffn = static_cast<std::uint32_t>(layer.blocks.ffn),
                                   .partials = partials,
                                   .queries = layer.queries,
                                   .ranks = attention_tp});
      attention[i] = graph.task(work, attention_kernels[i], number, before[i]);
      before[i].clear();
    }
    // Each instance begins with another partner, so that no receiver is crowded while others idle.
    std::vector<std::vector<TaskId>> arrivals(ffns, std::vector<TaskId>(attentions));
    for (std::uint32_t k = 0; k < ffns; ++k) {
      for (std::uint32_t i = 0; i < attentions; ++i) {
        const std::uint32_t j = (i + k) % ffns;
        const WorkId message = graph.work(Message{.from = {attention_pool, i},
                                                  .to = {ffn_pool, j},
                                                  .bytes_per_token = out_bytes,
                                                  .requests_of = i});
        arrivals[j][i] = graph.transfer(message, number, std::array{attention[i]});
      }
    }
    // results[j][i]: what must be done before FFN instance j answers attention instance i.
    std::vector<std::vector<TaskId>> results(ffns);
    for (std::uint32_t j = 0; j < ffns; ++j) {
      const auto collective = [&](Collective::Pattern pattern, double bytes,
                                  std::uint32_t requests_of, std::span<const TaskId> after) {
        const WorkId work = graph.work(Collective{.at = {ffn_pool, j},
                                                  .pattern = pattern,
                                                  .bytes_per_token = bytes,
                                                  .requests_of = requests_of,
                                                  .ranks = tp});
        return graph.task(work, ffn_links[j], number, after);
      };
      std::vector<TaskId> arrived = arrivals[j];
      const bool each = d.gathering == Gathering::per_message;
      if (tp > 1 && each) {
        for (std::uint32_t i = 0; i < attentions; ++i) {
          arrived[i] =
              collective(Collective::Pattern::all_gather, out_bytes, i, std::array{arrived[i]});
        }
      } else if (tp > 1) {
        arrived = {collective(Collective::Pattern::all_gather, out_bytes, kAllInstances, arrived)};
      }
      const WorkId work = graph.work(FfnWork{.at = {ffn_pool, j},
                                             .block = static_cast<std::uint32_t>(layer.blocks.ffn),
                                             .layer = layers_differ ? number : 0,
                                             .queries = layer.queries});
      const TaskId done = graph.task(work, ffn_kernels[j], number, arrived);
      results[j].assign(attentions, done);
      if (tp > 1 && each) {
        // In the order in which the messages leave.
        for (std::uint32_t k = 0; k < attentions; ++k) {
          const std::uint32_t i = (j + k) % attentions;
          results[j][i] =
              collective(Collective::Pattern::reduce_scatter, back_bytes, i, std::array{done});
        }
      } else if (tp > 1) {
        const TaskId scattered = collective(Collective::Pattern::reduce_scatter, back_bytes,
                                            kAllInstances, std::array{done});
        results[j].assign(attentions, scattered);
      }
    }
    for (std::uint32_t k = 0; k < attentions; ++k) {
      for (std::uint32_t j = 0; j < ffns; ++j) {
        const std::uint32_t i = (j + k) % attentions;
        const WorkId message = graph.work(Message{.from = {ffn_pool, j},
                                                  .to = {attention_pool, i},
                                                  .bytes_per_token = back_bytes,
                                                  .requests_of = i});
        before[i].push_back(graph.transfer(message, number, std::array{results[j][i]}));
      }
    }
    partials = ffns;
    ++number;
  }
  for (std::uint32_t i = 0; i < attentions; ++i) {
    const WorkId head = graph.work(HeadWork{
        .at = {attention_pool, i}, .queries = static_cast<std::uint32_t>(d.queries_per_step())});
    graph.task(head, attention_kernels[i], number, before[i]);
  }
  return graph.compile();
}

}  // namespace ridge::decode
