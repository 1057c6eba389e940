// A question about a deployment, exactly as its file asks it (docs/keys/simulate-scenario.md):
// names and paths stand for themselves, and nothing is read but the file. resolve.hpp makes a
// deployment of it.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/quantity.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/models/precision.hpp"
#include "ridge/net/cluster_spec.hpp"
#include "ridge/net/transfer.hpp"
#include "ridge/scenario/reference.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::scenario {

// How files call them, scenarios and goals alike.
inline constexpr std::array<Named<decode::Dispatch>, 2> kDispatches = {
    {{"broadcast", decode::Dispatch::broadcast}, {"routed", decode::Dispatch::routed}}};
inline constexpr std::array<Named<decode::ExchangeWay>, 3> kExchangeWays = {
    {{"all_to_all", decode::ExchangeWay::all_to_all},
     {"gather_scatter", decode::ExchangeWay::gather_scatter},
     {"gather_sum", decode::ExchangeWay::gather_sum}}};
inline constexpr std::array<Named<decode::Schedule>, 4> kSchedules = {
    {{"fifo", decode::Schedule::fifo},
     {"cyclic", decode::Schedule::cyclic},
     {"staged", decode::Schedule::staged},
     {"ping_pong", decode::Schedule::ping_pong}}};
// Of them, those that every strategy has.
inline constexpr std::span<const Named<decode::Schedule>> kSchedulesOfAll =
    std::span(kSchedules).first<2>();

struct Pool {
  std::int64_t instances = 1;
  std::int64_t gpus_per_instance = 8;
  ChipReference chip;
  std::string kernel_model;  // "theoretical", or "calibrated:" and a name or path
  std::vector<std::string> prefer_kernels;
  std::vector<hw::calibrated::Family> other_kernels;  // of which none that runs was measured
  std::optional<hw::AssumedKernels> assumed_kernels;
  std::int64_t communication_units = 0;
  std::optional<std::int64_t> gpus_per_node;
  std::optional<BytesPerSecond> nic_bandwidth;
  std::optional<BytesPerSecond> scale_up_bandwidth;
  std::optional<UsdPerSecond> price;
  std::optional<Bytes> memory_reserve;
  // Where it holds the attention.
  std::int64_t attention_tensor_parallel = 1;
  std::int64_t context_parallel = 1;
  std::int64_t output_parallel = 1;
  // Where it holds the FFN.
  std::int64_t ffn_tensor_parallel = 1;
  std::int64_t ffn_expert_parallel = 1;
  std::int64_t redundant_experts = 0;

  bool operator==(const Pool&) const = default;
};

// One pool for all, or one for each part of a layer.
struct WholePool {
  Pool gpus;
  bool operator==(const WholePool&) const = default;
};
struct SplitPools {
  Pool attention;
  Pool ffn;
  bool operator==(const SplitPools&) const = default;
};
using Pools = std::variant<WholePool, SplitPools>;

struct AttentionPrecision {
  std::optional<models::Precision> cache;
  std::optional<models::Precision> compute;
  bool operator==(const AttentionPrecision&) const = default;
};

// Layers of a small model that drafts, made of the model's own blocks.
struct DraftModel {
  std::int64_t layers = 1;
  std::string attention;
  std::string ffn;
  bool operator==(const DraftModel&) const = default;
};

struct Drafting {
  std::int64_t tokens = 0;
  std::optional<DraftModel> draft_model;
  double acceptance = 0.0;
  std::vector<double> acceptance_by_position;  // of the first drafts, where they differ
  bool operator==(const Drafting&) const = default;
};

struct Deployment {
  std::string strategy;
  std::int64_t micro_batches = 1;
  std::int64_t replicas = 1;
  decode::Dispatch dispatch = decode::Dispatch::broadcast;
  decode::CollectiveTiming collectives = decode::CollectiveTiming::links;
  decode::Gathering gathering = decode::Gathering::whole;
  decode::ExchangeWay exchange = decode::ExchangeWay::all_to_all;
  std::optional<decode::Schedule> schedule;
  bool scale_up_overlaps_compute = true;
  std::optional<Seconds> step_overhead;  // none
  decode::Execution execution;
  std::optional<AttentionPrecision> attention_precision;
  std::optional<Drafting> drafting;
  Pools pools;
  bool operator==(const Deployment&) const = default;
};

// What is said of a wire's software and protocol.
struct Wire {
  std::optional<Seconds> overhead;    // none
  std::optional<double> efficiency;   // 1
  std::optional<std::string> source;  // of both
  bool operator==(const Wire&) const = default;

  [[nodiscard]] bool is_told() const { return overhead || efficiency; }
  // The wire alone where nothing is.
  [[nodiscard]] net::Transport transport() const;
};

struct Network {
  decode::NetworkModel model = decode::NetworkModel::ports;
  decode::MessagePath path = decode::MessagePath::nics;
  Wire wire;
  decode::Copies copies = decode::Copies::per_expert;
  std::optional<std::int64_t> nodes_per_token;
  std::vector<decode::AllReduceWay> all_reduce;
  std::optional<net::Fabric> fabric;
  bool operator==(const Network&) const = default;
};

struct ScaleUp {
  Wire wire;
  bool in_switch_reduction = false;
  bool operator==(const ScaleUp&) const = default;
};

struct FixedLength {
  double tokens = 1;
  bool operator==(const FixedLength&) const = default;
};
struct UniformLength {
  double min = 1;
  double max = 1;
  bool operator==(const UniformLength&) const = default;
};
struct LognormalLength {
  double median = 1;
  double sigma = 0;
  double min = 1;
  double max = 1;
  bool operator==(const LognormalLength&) const = default;
};
using Lengths = std::variant<FixedLength, UniformLength, LognormalLength>;

struct ClosedLoop {
  // One of the three.
  std::optional<double> requests_per_gpu;
  std::optional<std::int64_t> requests_per_group;
  std::optional<std::int64_t> requests;
  bool steady = false;
  Lengths context;
  std::optional<std::int64_t> longest_context;  // steady: in each batch; nothing: as drawn
  Lengths output;                               // unless steady
  bool operator==(const ClosedLoop&) const = default;
};
struct Poisson {
  double requests_per_second = 1.0;
  Lengths context;
  Lengths output;
  bool operator==(const Poisson&) const = default;
};
enum class TimestampUnit : std::uint8_t { s, ms };
struct Trace {
  std::string file;
  double rate_scale = 1.0;
  std::optional<std::int64_t> max_requests;
  bool sort = false;
  std::optional<TimestampUnit> timestamp_unit;
  bool operator==(const Trace&) const = default;
};
using Workload = std::variant<ClosedLoop, Poisson, Trace>;

struct Admission {
  decode::RequestRouting routing = decode::RequestRouting::least_kv;
  decode::AdmissionPolicy policy = decode::AdmissionPolicy::final_length;
  std::optional<std::int64_t> max_requests_per_gpu;
  std::int64_t page_tokens = 64;
  double memory_utilization = 0.9;
  std::optional<decode::ProfiledStep> profile;
  bool operator==(const Admission&) const = default;
};

struct SlowGpu {
  std::string pool;
  std::int64_t instance = 0;
  std::int64_t gpu = 0;
  double factor = 1.0;
  bool operator==(const SlowGpu&) const = default;
};
struct SlowLink {
  std::string pool;
  std::int64_t instance = 0;
  double factor = 1.0;
  bool operator==(const SlowLink&) const = default;
};

struct UniformExperts {
  bool operator==(const UniformExperts&) const = default;
};
struct PowerLawExperts {
  double exponent = 0.0;
  std::optional<double> balancer_error;
  bool operator==(const PowerLawExperts&) const = default;
};
// One number per expert, or the path of a file with them.
struct ExpertShares {
  std::variant<std::vector<double>, std::string> shares;
  bool operator==(const ExpertShares&) const = default;
};
using Experts = std::variant<UniformExperts, PowerLawExperts, ExpertShares>;

struct Noise {
  double kernel_jitter = 0.0;
  double network_jitter = 0.0;
  std::vector<SlowGpu> slow_gpus;
  std::vector<SlowLink> slow_links;
  std::optional<Experts> experts;  // all alike
  decode::ExpertPopularity::Counts expert_rows = decode::ExpertPopularity::Counts::drawn;
  bool operator==(const Noise&) const = default;
};

struct MeasuredSteps {
  std::int64_t warmup = 0;
  std::int64_t steps = 1;
  bool operator==(const MeasuredSteps&) const = default;
};
struct MeasuredTime {
  Seconds warmup;
  Seconds duration{1.0};
  bool operator==(const MeasuredTime&) const = default;
};
using Measurement = std::variant<MeasuredSteps, MeasuredTime>;

// What is asked of the 95th percentile.
struct Sla {
  std::optional<Seconds> tpot;
  std::optional<Seconds> queueing;        // from arrival to admission
  std::optional<Seconds> time_in_system;  // from arrival to the last token
  bool operator==(const Sla&) const = default;
};

struct Scenario {
  std::string title;
  ModelReference model;
  Deployment deployment;
  Network network;
  ScaleUp scale_up;
  Workload workload;
  Admission admission;
  Noise noise;
  Measurement measurement;
  Sla sla;
  std::optional<RangesReference> ranges;  // its own, over those that ship
  std::uint64_t seed = 1;
};

[[nodiscard]] const KeyTable& keys_of(const Scenario*);
// Parts that other questions have, too.
[[nodiscard]] const KeyTable& keys_of(const AttentionPrecision*);
[[nodiscard]] const KeyTable& keys_of(const Network*);
[[nodiscard]] const KeyTable& keys_of(const ScaleUp*);

}  // namespace ridge::scenario

namespace ridge::net {

[[nodiscard]] const KeyTable& keys_of(const Fabric*);
[[nodiscard]] const KeyTable& keys_of(const Transport*);

}  // namespace ridge::net

namespace ridge::decode {

[[nodiscard]] const KeyTable& keys_of(const Execution*);
[[nodiscard]] const KeyTable& keys_of(const AllReduceWay*);
[[nodiscard]] const KeyTable& keys_of(const ProfiledStep*);
// What is wrong with a way to sum that reads well; empty where nothing is.
[[nodiscard]] std::string_view problem_of(const AllReduceWay&);

}  // namespace ridge::decode
