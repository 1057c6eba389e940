// Attention-FFN disaggregation (arXiv 2507.19427 section 5): attention instances keep the requests
// and their KV, FFN instances keep the experts, and every layer sends the tokens there and back.
//
//   attention i --A2F--> [gather] FFN j [scatter] --F2A--> attention i (next layer)
//
// A layer's FFN waits for all attention instances, and the next layer's attention for all FFN
// instances.
#include "strategies.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

namespace ridge::decode {
namespace {

// Of a layer's tokens, those that an FFN instance receives: empty for all of them.
std::optional<RoutedShare> routed_share(const Deployment& d, const models::FfnBlock& ffn,
                                        std::uint32_t instance, std::uint32_t layer) {
  const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
  if (d.dispatch == Dispatch::broadcast || moe == nullptr) return std::nullopt;
  // Each instance computes the shared expert of an equal share of the tokens.
  const double elsewhere = 1.0 - 1.0 / static_cast<double>(d.pool(Role::ffn).instances);
  return RoutedShare{.ffn_instance = instance,
                     .layer = layer,
                     .top_k = static_cast<std::uint32_t>(moe->top_k),
                     .elsewhere = moe->shared_intermediate > 0 ? elsewhere : 1.0};
}

// A dense FFN of a routed token is computed by one instance.
double dense_share(const Deployment& d, const models::FfnBlock& ffn) {
  const bool dense = std::holds_alternative<models::DenseFfn>(ffn.kind);
  if (d.dispatch == Dispatch::broadcast || !dense) return 1.0;
  return 1.0 / static_cast<double>(d.pool(Role::ffn).instances);
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
  if (d.message_path == MessagePath::scale_up) {
    for (const Pool* pool : {&attention, &ffn}) {
      if (d.gpus_per_replica() <= pool->gpus_per_node) continue;
      problems.push_back(
          fmt::format("messages go over scale-up links where the {} GPUs of both pools lie in one "
                      "domain, and pool \"{}\" has {} GPUs in one (gpus_per_node)",
                      d.gpus_per_replica(), pool->name, pool->gpus_per_node));
      break;
    }
  }
  if (attention.gpus_per_instance % d.output_parallel != 0) {
    problems.push_back(
        fmt::format("output_parallel ({}) must divide the attention instance's {} "
                    "GPUs",
                    d.output_parallel, attention.gpus_per_instance));
  }
}

StepGraph compile_attention_ffn_disaggregation(const Deployment& d, std::uint32_t drawn_layers) {
  const std::uint32_t attention_pool = d.index_of(Role::attention);
  const std::uint32_t ffn_pool = d.index_of(Role::ffn);
  const auto attentions = static_cast<std::uint32_t>(d.pools[attention_pool].instances);
  const auto ffns = static_cast<std::uint32_t>(d.pools[ffn_pool].instances);
  const auto attention_tp = static_cast<std::uint32_t>(d.attention_tensor_parallel);
  const auto tp = static_cast<std::uint32_t>(d.ffn_tensor_parallel);
  // Expert-parallel ranks within an FFN instance.
  const auto peers = static_cast<std::uint32_t>(d.pools[ffn_pool].gpus_per_instance) / tp;

  StepGraphBuilder graph;
  std::vector<ResourceId> attention_kernels;
  std::vector<ResourceId> ffn_kernels;
  std::vector<ResourceId> gathering_links;
  std::vector<ResourceId> scattering_links;
  for (std::uint32_t i = 0; i < attentions; ++i) {
    attention_kernels.push_back(graph.resource({{attention_pool, i}, true}));
  }
  for (std::uint32_t j = 0; j < ffns; ++j) {
    ffn_kernels.push_back(graph.resource({{ffn_pool, j}, true}));
    const auto links = [&] {
      return d.scale_up_overlaps_compute ? graph.resource({{ffn_pool, j}, false})
                                         : ffn_kernels.back();
    };
    gathering_links.push_back(links());
    // A ring loads both directions; with the switch's help a gather loads one and a scatter the
    // other.
    const bool both = !d.scale_up.in_switch_reduction || peers > 1;
    scattering_links.push_back(both ? gathering_links.back() : links());
  }

  // The tasks that attention instance i waits for.
  std::vector<std::vector<TaskId>> before(attentions);
  std::uint32_t partials = 0;
  std::uint32_t number = 0;
  for (const StepLayer& layer : step_layers(d, drawn_layers)) {
    const auto& ffn = d.model.ffns[layer.blocks.ffn];
    const auto* moe = std::get_if<models::MoeFfn>(&ffn.kind);
    const double share = dense_share(d, ffn);
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
    if (std::holds_alternative<models::NoFfn>(ffn.kind)) {
      // Nothing to send: the next layer's attention follows on the same instance.
      for (std::uint32_t i = 0; i < attentions; ++i) before[i] = {attention[i]};
      partials = 0;
      ++number;
      continue;
    }
    // Each instance begins with another partner, so that no receiver is crowded while others idle.
    std::vector<std::vector<TaskId>> arrivals(ffns, std::vector<TaskId>(attentions));
    std::vector<std::vector<std::uint32_t>> senders(ffns);  // in the order in which they come
    for (std::uint32_t k = 0; k < ffns; ++k) {
      for (std::uint32_t i = 0; i < attentions; ++i) {
        const std::uint32_t j = (i + k) % ffns;
        const WorkId message =
            graph.work(Message{.from = {attention_pool, i},
                               .to = {ffn_pool, j},
                               .bytes_per_token = out_bytes,
                               .requests_of = i,
                               .routed = routed_share(d, ffn, j, layer.expert_layer)});
        arrivals[j][i] = graph.transfer(message, number, std::array{attention[i]});
        senders[j].push_back(i);
      }
    }
    // results[j][i]: what must be done before FFN instance j answers attention instance i.
    std::vector<std::vector<TaskId>> results(ffns);
    for (std::uint32_t j = 0; j < ffns; ++j) {
      // What the GPUs of the instance tell each other of the tokens of some or all attention
      // instances before and after they compute.
      const bool exchanges = tp > 1 || (peers > 1 && moe != nullptr);
      const auto collective = [&](bool returning, std::uint32_t requests_of,
                                  std::span<const TaskId> after) {
        const double bytes = returning ? back_bytes : out_bytes;
        const auto routed = routed_share(d, ffn, j, layer.expert_layer);
        const WorkId work =
            peers > 1
                ? graph.work(PeerExchange{.at = {ffn_pool, j},
                                          .bytes_per_token = bytes,
                                          .requests_of = requests_of,
                                          .block = static_cast<std::uint32_t>(layer.blocks.ffn),
                                          .layer = layer.expert_layer,
                                          .ranks = peers,
                                          .returning = returning,
                                          .routed = routed})
                : graph.work(Collective{.at = {ffn_pool, j},
                                        .pattern = returning ? Collective::Pattern::reduce_scatter
                                                             : Collective::Pattern::all_gather,
                                        .bytes_per_token = bytes,
                                        .requests_of = requests_of,
                                        .ranks = tp,
                                        .routed = routed});
        return graph.task(work, returning ? scattering_links[j] : gathering_links[j], number,
                          after);
      };
      std::vector<TaskId> arrived = arrivals[j];
      const bool each = d.gathering == Gathering::per_message;
      if (exchanges && each) {
        for (const std::uint32_t i : senders[j]) {
          arrived[i] = collective(false, i, std::array{arrived[i]});
        }
      } else if (exchanges) {
        arrived = {collective(false, kAllInstances, arrived)};
      }
      const WorkId work = graph.work(FfnWork{.at = {ffn_pool, j},
                                             .block = static_cast<std::uint32_t>(layer.blocks.ffn),
                                             .layer = layer.expert_layer,
                                             .queries = layer.queries});
      const TaskId done = graph.task(work, ffn_kernels[j], number, arrived);
      results[j].assign(attentions, done);
      if (exchanges && each) {
        // In the order in which the messages leave.
        for (std::uint32_t k = 0; k < attentions; ++k) {
          const std::uint32_t i = (j + k) % attentions;
          results[j][i] = collective(true, i, std::array{done});
        }
      } else if (exchanges) {
        results[j].assign(attentions, collective(true, kAllInstances, std::array{done}));
      }
    }
    for (std::uint32_t k = 0; k < attentions; ++k) {
      for (std::uint32_t j = 0; j < ffns; ++j) {
        const std::uint32_t i = (j + k) % attentions;
        const WorkId message =
            graph.work(Message{.from = {ffn_pool, j},
                               .to = {attention_pool, i},
                               .bytes_per_token = back_bytes,
                               .requests_of = i,
                               .routed = routed_share(d, ffn, j, layer.expert_layer)});
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
