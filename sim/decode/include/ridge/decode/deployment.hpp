// Who holds what: pools of GPUs, how the model is split over them, how many micro-batches are in
// flight.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/net/cluster_spec.hpp"
#include "ridge/net/transfer.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::decode {

// What a pool does in a step. A pool may have several roles, and each role one pool.
enum class Role : std::uint8_t {
  attention,  // keeps the requests and their KV, and runs the LM head
  ffn,
};
class Roles {
 public:
  constexpr Roles() = default;
  constexpr Roles(std::initializer_list<Role> roles) {
    for (const Role role : roles) bits_ |= bit(role);
  }
  [[nodiscard]] constexpr bool has(Role role) const { return (bits_ & bit(role)) != 0; }

 private:
  static constexpr unsigned bit(Role role) { return 1U << static_cast<unsigned>(role); }
  unsigned bits_ = 0;
};
inline constexpr Roles kAllRoles = {Role::attention, Role::ffn};

// Instances of equal GPUs that do the same work. An instance is one synchronous group: its GPUs
// start a stage together and finish it when the slowest is done.
struct Pool {
  std::string name;  // "attention", "ffn", "gpus"
  Roles roles;
  std::int64_t instances = 1;
  std::int64_t gpus_per_instance = 8;
  std::int64_t gpus_per_node = 8;                  // that reach each other over scale-up links
  std::shared_ptr<const hw::KernelModel> kernels;  // on the compute units that they run on
  // Of a GPU, that kernels of messages and exchanges keep from all others.
  std::int64_t communication_units = 0;
  std::optional<UsdPerSecond> price_per_gpu;
  // Of a GPU's memory, for what is neither weights nor KV; estimated where absent.
  std::optional<Bytes> memory_reserve;
  BytesPerSecond nic_bandwidth;       // per GPU and direction, of the wire
  BytesPerSecond scale_up_bandwidth;  // per GPU and direction, of the wire

  [[nodiscard]] std::int64_t gpus() const { return instances * gpus_per_instance; }
  // With all its compute units.
  [[nodiscard]] hw::ChipSpec whole_chip() const;
};

// What messages between the instances of a replica go over.
enum class MessagePath : std::uint8_t {
  nics,
  scale_up,  // links of one domain that holds all GPUs of the replica (NVLink in an NVL72)
};
[[nodiscard]] std::string_view name_of(MessagePath path);

// What an exchange between tokens and experts sends over NICs.
enum class Copies : std::uint8_t {
  per_expert,  // a token once for each of its experts in other nodes
  per_node,    // once for each node that holds any of them; scale-up links do the rest
};

// A way for a library of collectives to sum over the GPUs of several nodes, as NCCL's algorithms
// and protocols are: by a law, or as it was measured.
struct AllReduceWay {
  Seconds overhead;          // of the smallest sum
  BytesPerSecond bandwidth;  // buffer over what its size adds to the time
  // The share of the bandwidth that sums of 64 B reach, and of each power of two above; larger ones
  // reach all of it.
  std::vector<double> ramp;
  // Of sums of 64 B, and of each power of two above; larger ones keep the bandwidth of the last.
  // Takes the place of the law.
  std::vector<Seconds> measured;

  [[nodiscard]] Seconds time(Bytes buffer) const;
  friend bool operator==(const AllReduceWay&, const AllReduceWay&) = default;
};

// How the GPUs of a deployment talk over one kind of link: what software and protocol take from the
// wire, and what they save.
struct Communication {
  net::Transport transport;
  // Between nodes, of exchanges: how often a token is sent, and to how many nodes at most where the
  // router keeps to that (0: any number).
  Copies copies = Copies::per_expert;
  std::int64_t nodes_per_token = 0;
  // Between nodes, of sums over all GPUs: the library takes the fastest for the size. Where there
  // is none, GPUs of a node sum first, then those that hold the same part.
  std::vector<AllReduceWay> all_reduce;
  // Within a node: the switch multicasts what all receive and adds up what all send (NVLS), so that
  // a gather loads the receiving direction alone and a scatter of sums the sending one.
  bool in_switch_reduction = false;
};

// Where tokens go in attention-FFN disaggregation.
enum class Dispatch : std::uint8_t {
  broadcast,  // every token to every FFN instance, as Step-3 deploys it
  routed,     // to the instances that hold one of its experts or its share of the dense part
};

// What times the collectives: all-gathers and the like within a node, all-to-alls across nodes.
enum class CollectiveTiming : std::uint8_t {
  links,         // bytes over the links' bandwidth, and the transports' overheads and efficiencies
  kernel_model,  // the pool's kernel model, from measured collectives where it is calibrated
};

// In wide expert parallelism, how tokens get to their experts and results back.
enum class ExchangeWay : std::uint8_t {
  all_to_all,      // to the GPUs that hold their experts, as DeepEP's kernels do
  gather_scatter,  // all tokens to all GPUs; sums of results back to those that the tokens are of
  gather_sum,      // likewise, but all sums to all GPUs, which keep those of their own tokens
};
[[nodiscard]] constexpr bool gathers(ExchangeWay way) {
  return way != ExchangeWay::all_to_all;
}

// In attention-FFN disaggregation, what an FFN instance's collectives wait for.
enum class Gathering : std::uint8_t {
  whole,        // all messages of a micro-batch
  per_message,  // each message: gathered as it arrives, and sent as soon as it is scattered
};

// In what order a resource serves micro-batches.
enum class Schedule : std::uint8_t {
  fifo,    // as their tasks become ready
  cyclic,  // in a fixed rotation: nothing that becomes faster ever makes a step slower
  // In wide expert parallelism, as engines that overlap batches launch them, a stage of each batch
  // in turn: each MoE layer in five stages, each batch two stages behind the one before; or in two,
  // attention and experts, all batches at the same.
  staged,
  ping_pong,
};
// Whether each resource's order is fixed in advance.
[[nodiscard]] constexpr bool keeps_order(Schedule schedule) {
  return schedule != Schedule::fifo;
}
// Whether that is the order of the stages that a strategy cuts a step into (Task::stage).
[[nodiscard]] constexpr bool goes_by_stages(Schedule schedule) {
  return schedule == Schedule::staged || schedule == Schedule::ping_pong;
}
// By how many of them each batch then follows the one before.
[[nodiscard]] constexpr std::uint32_t stages_apart(Schedule schedule) {
  return schedule == Schedule::staged ? 2 : 0;
}

// How an engine launches a step's kernels, where that differs from one after the other as each was
// measured alone. Nothing of it is assumed unless it is asked for.
struct Execution {
  // A layer's cache comes from memory, also where it would fit in L2: kernels that are measured
  // again and again on the same small cache find it there.
  bool cold_caches = false;
  // Shared experts run beside the routed ones: they cost what they ask of the roofline, but no
  // launches of their own.
  bool shared_experts_beside = false;
  // The kernel of an all-reduce also adds the residual and does the norm behind it.
  bool all_reduce_with_norm = false;
  // What the norm adds to that kernel.
  Seconds norm_in_all_reduce;
  // A norm of queries and keys over the heads of all GPUs is one kernel with the sum that it needs.
  bool qk_norm_with_sum = false;
  // What the kernels take that choose a layer's experts and sort tokens by them; nothing: the
  // choice is one kernel, and those of the experts sort.
  std::optional<Seconds> routing;
  // GPUs that share a request's heads share the vocabulary: they add up the embedding of a token,
  // of which one has a row, and gather the logits of which each has a part.
  bool vocabulary_exchange = false;
  // Batches of a group that graphs were captured of, ascending: any other runs as the next larger
  // one, and one that is larger than all as it is.
  std::vector<std::int64_t> captured_batches;
  [[nodiscard]] double padded(double requests) const {
    const auto found = std::lower_bound(
        captured_batches.begin(), captured_batches.end(), requests,
        [](std::int64_t captured, double asked) { return static_cast<double>(captured) < asked; });
    return found == captured_batches.end() || requests == 0.0 ? requests
                                                              : static_cast<double>(*found);
  }
  // By how much each launch begins before the one ahead of it has ended (programmatic dependent
  // launch).
  Seconds launch_overlap;
  // What the kernels of an exchange between tokens and experts take of the GPU, of `tokens` tokens
  // on each: they write messages and read them. The rest of the exchange is on its way, and beside
  // it the kernels of another micro-batch run.
  struct ExchangeKernels {
    Seconds dispatch_send;
    Seconds dispatch_receive;
    Seconds combine_send;
    Seconds combine_receive;
    double tokens = 1.0;
    friend bool operator==(const ExchangeKernels&, const ExchangeKernels&) = default;
  };
  std::optional<ExchangeKernels> exchange_kernels;
  // How far apart GPUs begin a step that hosts of their own launch: a standard deviation. They meet
  // in the first exchange, and so all wait for the last. Where absent: nothing.
  std::optional<Seconds> host_stagger;
  // Exchanges reach the GPUs of their own node over NICs too, as DeepEP's low-latency kernels did
  // until May 2025.
  bool exchanges_by_nics = false;
  friend bool operator==(const Execution&, const Execution&) = default;
};

struct Drafting {
  // Drafted per step by the MTP modules; where there are fewer of them, the last runs again and
  // again.
  std::int64_t tokens = 0;
  // That each draft passes through: a module, or layers of a draft model, which are held once.
  std::int64_t layers = 1;
  // Whether a draft model drafts, in place of the model's own modules.
  bool own_layers = false;
  // Of each draft, given that those before it were accepted; the last holds for all that follow.
  std::vector<double> acceptance;

  [[nodiscard]] double acceptance_of(std::int64_t draft) const {
    if (acceptance.empty()) return 0.0;
    return acceptance[std::min(static_cast<std::size_t>(draft), acceptance.size() - 1)];
  }
  // Layers of modules or a draft model whose weights and KV a deployment keeps.
  [[nodiscard]] std::int64_t layers_held(const models::ModelSpec& model) const {
    if (tokens == 0) return 0;
    return own_layers ? layers : std::min(tokens, model.mtp.modules);
  }
};

struct Deployment {
  std::string strategy;  // a name of strategy_names()
  models::ModelSpec model;
  std::vector<Pool> pools;
  std::int64_t replicas = 1;       // independent copies behind one router
  std::int64_t micro_batches = 1;  // in flight at once

  std::int64_t attention_tensor_parallel = 1;  // GPUs that share a request's heads
  std::int64_t context_parallel = 1;           // of those, GPUs that share a cache's tokens
  std::int64_t output_parallel = 1;            // GPUs that share the output projection alone
  std::int64_t ffn_tensor_parallel = 1;
  std::int64_t ffn_expert_parallel = 1;
  std::int64_t redundant_experts = 0;  // copies of busy experts, over all ranks
  Dispatch dispatch = Dispatch::broadcast;
  CollectiveTiming collectives = CollectiveTiming::links;
  Gathering gathering = Gathering::whole;
  ExchangeWay exchange = ExchangeWay::all_to_all;
  // Where absent: cyclic where pools send each other messages in a closed loop on ports, else fifo.
  std::optional<Schedule> schedule;
  bool scale_up_overlaps_compute = true;  // collectives within an instance run beside the kernels

  // Sampling, scheduling and graph launch, beside no kernel, once per step of the engine, which all
  // micro-batches share.
  Seconds step_overhead;
  Execution execution;
  Communication network;
  net::Fabric fabric;  // between the instances' nodes; one switch unless told otherwise
  Communication scale_up;
  MessagePath message_path = MessagePath::nics;
  Drafting drafting;

  [[nodiscard]] std::int64_t gpus_per_replica() const {
    std::int64_t gpus = 0;
    for (const Pool& pool : pools) gpus += pool.gpus();
    return gpus;
  }
  [[nodiscard]] std::int64_t gpus() const { return replicas * gpus_per_replica(); }
  // The pool with this role, and its number. Throws InvariantError if there is none.
  [[nodiscard]] std::uint32_t index_of(Role role) const;
  [[nodiscard]] const Pool& pool(Role role) const { return pools[index_of(role)]; }
  // Every GPU does everything.
  [[nodiscard]] bool one_pool() const {
    return pools.size() == 1 && pools[0].roles.has(Role::attention) &&
           pools[0].roles.has(Role::ffn);
  }
  // Requests live in groups: attention_tensor_parallel GPUs of the attention pool that share their
  // cache.
  [[nodiscard]] std::int64_t groups_per_instance() const {
    return pool(Role::attention).gpus_per_instance / attention_tensor_parallel;
  }
  [[nodiscard]] std::int64_t groups() const {
    return pool(Role::attention).instances * groups_per_instance();
  }
  // What a message between instances takes: of a GPU of either pool, and of software.
  [[nodiscard]] BytesPerSecond message_bandwidth(const Pool& pool) const {
    return message_path == MessagePath::scale_up ? pool.scale_up_bandwidth : pool.nic_bandwidth;
  }
  [[nodiscard]] const net::Transport& message_transport() const {
    return message_path == MessagePath::scale_up ? scale_up.transport : network.transport;
  }
  // Tokens that each request puts through a step.
  [[nodiscard]] std::int64_t queries_per_step() const { return 1 + drafting.tokens; }
  // Once in a step of the engine: its overhead, and the last of the GPUs that meet in its
  // exchanges, those of an instance, or all with attention where the experts have GPUs of their
  // own.
  [[nodiscard]] Seconds waiting_for_hosts() const;
  // Empty unless every GPU has a price.
  [[nodiscard]] std::optional<UsdPerSecond> price() const;
};

// By how many standard deviations the last of so many GPUs is late on average, which are normally
// distributed: 0 of one.
[[nodiscard]] double mean_of_the_last(std::int64_t gpus);

// Values per token that enter the output projection of an attention block on each of the GPUs that
// share a request's heads.
[[nodiscard]] double output_width(const Deployment& deployment, std::size_t attention_block);

}  // namespace ridge::decode
