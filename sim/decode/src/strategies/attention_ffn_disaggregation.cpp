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

namespace {

// Lays one step of a micro-batch out, layer by layer.
class AfdCompiler {
 public:
  explicit AfdCompiler(const Deployment& d)
      : d_(d),
        attention_pool_(d.index_of(Role::attention)),
        ffn_pool_(d.index_of(Role::ffn)),
        attentions_(static_cast<std::uint32_t>(d.pools[attention_pool_].instances)),
        ffns_(static_cast<std::uint32_t>(d.pools[ffn_pool_].instances)),
        tp_(static_cast<std::uint32_t>(d.ffn_tensor_parallel)),
        peers_(static_cast<std::uint32_t>(d.pools[ffn_pool_].gpus_per_instance) / tp_),
        before_(attentions_) {
    add_resources();
  }

  StepGraph compile(std::uint32_t drawn_layers) {
    for (const StepLayer& layer : step_layers(d_, drawn_layers)) {
      add_layer(layer);
      ++number_;
    }
    for (std::uint32_t i = 0; i < attentions_; ++i) {
      const WorkId head =
          graph_.work(HeadWork{.at = {attention_pool_, i},
                               .queries = static_cast<std::uint32_t>(d_.queries_per_step())});
      graph_.task(head, attention_kernels_[i], number_, before_[i]);
    }
    return graph_.compile();
  }

 private:
  // What is the same for all instances in a layer.
  struct Layer {
    const StepLayer& step;
    const models::FfnBlock& ffn;
    double out_bytes;  // per request, to the FFN and back
    double back_bytes;
  };
  // [instance that gets them][instance that they are from]
  using TasksByInstance = std::vector<std::vector<TaskId>>;

  void add_resources() {
    for (std::uint32_t i = 0; i < attentions_; ++i) {
      attention_kernels_.push_back(graph_.resource({{attention_pool_, i}, true}));
    }
    for (std::uint32_t j = 0; j < ffns_; ++j) {
      ffn_kernels_.push_back(graph_.resource({{ffn_pool_, j}, true}));
      const auto links = [&] {
        return d_.scale_up_overlaps_compute ? graph_.resource({{ffn_pool_, j}, false})
                                            : ffn_kernels_.back();
      };
      gathering_links_.push_back(links());
      // A ring loads both directions; with the switch's help a gather loads one and a scatter the
      // other.
      const bool both = !d_.scale_up.in_switch_reduction || peers_ > 1;
      scattering_links_.push_back(both ? gathering_links_.back() : links());
    }
  }

  void add_layer(const StepLayer& step) {
    const models::FfnBlock& ffn = d_.model.ffns[step.blocks.ffn];
    const double share = dense_share(d_, ffn);
    const double queries = step.queries;
    const Layer layer{.step = step,
                      .ffn = ffn,
                      .out_bytes = dispatch_bytes_per_token(d_.model, ffn) * share * queries,
                      .back_bytes = combine_bytes_per_token(d_.model) * share * queries};
    const std::vector<TaskId> attention = add_attention(step);
    if (std::holds_alternative<models::NoFfn>(ffn.kind)) {
      // Nothing to send: the next layer's attention follows on the same instance.
      for (std::uint32_t i = 0; i < attentions_; ++i) before_[i] = {attention[i]};
      partials_ = 0;
      return;
    }
    TasksByInstance results = send_out(layer, attention);
    for (std::uint32_t j = 0; j < ffns_; ++j) results[j] = add_ffn(layer, j, std::move(results[j]));
    send_back(layer, results);
    partials_ = ffns_;
  }

  std::vector<TaskId> add_attention(const StepLayer& step) {
    std::vector<TaskId> attention(attentions_);
    for (std::uint32_t i = 0; i < attentions_; ++i) {
      const WorkId work = graph_.work(
          AttentionWork{.at = {attention_pool_, i},
                        .block = static_cast<std::uint32_t>(step.blocks.attention),
                        .next_ffn = static_cast<std::uint32_t>(step.blocks.ffn),
                        .partials = partials_,
                        .queries = step.queries,
                        .ranks = static_cast<std::uint32_t>(d_.attention_tensor_parallel)});
      attention[i] = graph_.task(work, attention_kernels_[i], number_, before_[i]);
      before_[i].clear();
    }
    return attention;
  }

  // The arrivals at each FFN instance. Each attention instance begins with another partner, so that
  // no receiver is crowded while others idle.
  TasksByInstance send_out(const Layer& layer, const std::vector<TaskId>& attention) {
    TasksByInstance arrivals(ffns_, std::vector<TaskId>(attentions_));
    for (std::uint32_t k = 0; k < ffns_; ++k) {
      for (std::uint32_t i = 0; i < attentions_; ++i) {
        const std::uint32_t j = (i + k) % ffns_;
        const WorkId message =
            graph_.work(Message{.from = {attention_pool_, i},
                                .to = {ffn_pool_, j},
                                .bytes_per_token = layer.out_bytes,
                                .requests_of = i,
                                .routed = routed_share(d_, layer.ffn, j, layer.step.expert_layer)});
        arrivals[j][i] = graph_.transfer(message, number_, std::array{attention[i]});
      }
    }
    return arrivals;
  }

  // The attention instances in the order in which their messages reach FFN instance j.
  [[nodiscard]] std::vector<std::uint32_t> senders_to(std::uint32_t j) const {
    std::vector<std::uint32_t> senders;
    for (std::uint32_t k = 0; k < ffns_; ++k) {
      for (std::uint32_t i = (j + ffns_ - k) % ffns_; i < attentions_; i += ffns_) {
        senders.push_back(i);
      }
    }
    return senders;
  }

  // FFN instance j, from the arrival of each message to what must be done before each is answered.
  std::vector<TaskId> add_ffn(const Layer& layer, std::uint32_t j, std::vector<TaskId> arrived) {
    const bool moe = std::holds_alternative<models::MoeFfn>(layer.ffn.kind);
    const bool exchanges = tp_ > 1 || (peers_ > 1 && moe);
    const bool each = d_.gathering == Gathering::per_message;
    if (exchanges && each) {
      for (const std::uint32_t i : senders_to(j)) {
        arrived[i] = collective(layer, j, false, i, std::array{arrived[i]});
      }
    } else if (exchanges) {
      arrived = {collective(layer, j, false, kAllInstances, arrived)};
    }
    const WorkId work =
        graph_.work(FfnWork{.at = {ffn_pool_, j},
                            .block = static_cast<std::uint32_t>(layer.step.blocks.ffn),
                            .layer = layer.step.expert_layer,
                            .queries = layer.step.queries});
    const TaskId done = graph_.task(work, ffn_kernels_[j], number_, arrived);
    std::vector<TaskId> results(attentions_, done);
    if (exchanges && each) {
      // In the order in which the messages leave.
      for (std::uint32_t k = 0; k < attentions_; ++k) {
        const std::uint32_t i = (j + k) % attentions_;
        results[i] = collective(layer, j, true, i, std::array{done});
      }
    } else if (exchanges) {
      results.assign(attentions_, collective(layer, j, true, kAllInstances, std::array{done}));
    }
    return results;
  }

  // What the GPUs of FFN instance j tell each other of the tokens of some or all attention
  // instances before and after they compute.
  TaskId collective(const Layer& layer, std::uint32_t j, bool returning, std::uint32_t requests_of,
                    std::span<const TaskId> after) {
    const double bytes = returning ? layer.back_bytes : layer.out_bytes;
    const auto routed = routed_share(d_, layer.ffn, j, layer.step.expert_layer);
    const WorkId work =
        peers_ > 1
            ? graph_.work(PeerExchange{.at = {ffn_pool_, j},
                                       .bytes_per_token = bytes,
                                       .requests_of = requests_of,
                                       .block = static_cast<std::uint32_t>(layer.step.blocks.ffn),
                                       .layer = layer.step.expert_layer,
                                       .ranks = peers_,
                                       .returning = returning,
                                       .routed = routed})
            : graph_.work(Collective{.at = {ffn_pool_, j},
                                     .pattern = returning ? Collective::Pattern::reduce_scatter
                                                          : Collective::Pattern::all_gather,
                                     .bytes_per_token = bytes,
                                     .requests_of = requests_of,
                                     .ranks = tp_,
                                     .routed = routed});
    return graph_.task(work, returning ? scattering_links_[j] : gathering_links_[j], number_,
                       after);
  }

  // The next layer's attention waits for the answers of all FFN instances.
  void send_back(const Layer& layer, const TasksByInstance& results) {
    for (std::uint32_t k = 0; k < attentions_; ++k) {
      for (std::uint32_t j = 0; j < ffns_; ++j) {
        const std::uint32_t i = (j + k) % attentions_;
        const WorkId message =
            graph_.work(Message{.from = {ffn_pool_, j},
                                .to = {attention_pool_, i},
                                .bytes_per_token = layer.back_bytes,
                                .requests_of = i,
                                .routed = routed_share(d_, layer.ffn, j, layer.step.expert_layer)});
        before_[i].push_back(graph_.transfer(message, number_, std::array{results[j][i]}));
      }
    }
  }

  const Deployment& d_;
  std::uint32_t attention_pool_;
  std::uint32_t ffn_pool_;
  std::uint32_t attentions_;
  std::uint32_t ffns_;
  std::uint32_t tp_;
  std::uint32_t peers_;  // expert-parallel ranks within an FFN instance
  StepGraphBuilder graph_;
  std::vector<ResourceId> attention_kernels_;
  std::vector<ResourceId> ffn_kernels_;
  std::vector<ResourceId> gathering_links_;
  std::vector<ResourceId> scattering_links_;
  std::vector<std::vector<TaskId>> before_;  // what each attention instance waits for
  std::uint32_t partials_ = 0;
  std::uint32_t number_ = 0;  // of the layer
};

}  // namespace

StepGraph compile_attention_ffn_disaggregation(const Deployment& d, std::uint32_t drawn_layers) {
  return AfdCompiler(d).compile(drawn_layers);
}

}  // namespace ridge::decode
