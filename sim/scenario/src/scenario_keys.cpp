// The keys of a simulate scenario.
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/scenario/requests.hpp"
#include "ridge/scenario/scenario.hpp"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::hw {

static const KeyTable& keys_of(const AssumedKernels* /*of*/) {
  static const KeyTable table = key_table<AssumedKernels>(
      "assumed_kernels", "What kernels are taken to reach where none was measured.",
      {
          key<&AssumedKernels::efficiency>("efficiency", "Of the roofline.", positive(1.0)),
          key<&AssumedKernels::launch>("launch_us", "Of each kernel.", at_least(0)),
      });
  return table;
}

}  // namespace ridge::hw

namespace ridge::net {

const KeyTable& keys_of(const Transport* /*of*/) {
  using T = Transport;
  static const KeyTable table = key_table<T>(
      "transport", "What software and protocol take from a wire.",
      {
          key<&T::overhead>("overhead_us", "Software time of each message.", at_least(0)),
          key<&T::efficiency>("efficiency", "Of the wire's bandwidth, for large messages.",
                              positive(1.0)),
          key<&T::source>("source", "Where overhead and efficiency come from."),
      });
  return table;
}

const KeyTable& keys_of(const Fabric* /*of*/) {
  using F = Fabric;
  static const KeyTable table = key_table<F>(
      "fabric", "Leaf and spine switches between the nodes.",
      {
          key<&F::nodes_per_leaf>("nodes_per_leaf", "", between(1, 1e6)),
          key<&F::spines>("spines", "Every leaf goes to every spine.", between(1, 1e6)),
          key<&F::oversubscription>("oversubscription",
                                    "A leaf's bandwidth toward its NICs over its bandwidth "
                                    "toward the spines.",
                                    between(1, 1000)),
          key<&F::hop_latency>("hop_latency_us", "Of each cable and the switch behind it.",
                               at_least(0)),
      });
  return table;
}

}  // namespace ridge::net

namespace ridge::decode {

static const KeyTable& keys_of(const Execution::ExchangeKernels* /*of*/) {
  using E = Execution::ExchangeKernels;
  static const KeyTable table = key_table<E>(
      "exchange_kernels",
      "Of a GPU's time in exchanges between tokens and experts; the rest of an exchange runs "
      "beside other kernels. In proportion to the tokens.",
      {
          key<&E::dispatch_send>("dispatch_send_us", "Writing tokens for other GPUs.", at_least(0)),
          key<&E::dispatch_receive>("dispatch_receive_us", "Reading those of others.", at_least(0)),
          key<&E::combine_send>("combine_send_us", "Writing results for other GPUs.", at_least(0)),
          key<&E::combine_receive>("combine_receive_us", "Reading results, and adding them up.",
                                   at_least(0)),
          key<&E::tokens>("tokens", "On each GPU, that these times are of.", positive(1e6)),
      });
  return table;
}

const KeyTable& keys_of(const Execution* /*of*/) {
  using E = Execution;
  static const KeyTable table = key_table<E>(
      "execution",
      "How the engine launches a step's kernels, where that differs from one after the other as "
      "each was measured alone.",
      {
          key<&E::cold_caches>("cold_caches",
                               "A layer's KV comes from memory, also where it would fit in L2 and "
                               "was found there when its kernel was measured alone.")
              .optional(),
          key<&E::shared_experts_beside>("shared_experts_beside",
                                         "Shared experts run beside the routed ones: they cost "
                                         "what they ask of the roofline, but no launches.")
              .optional(),
          key<&E::all_reduce_with_norm>("all_reduce_with_norm",
                                        "The kernel of an all-reduce also does the norm of the "
                                        "residual behind it.")
              .optional(),
          key<&E::norm_in_all_reduce>("norm_in_all_reduce_us",
                                      "What that norm adds to the kernel of the all-reduce.",
                                      at_least(0))
              .optional(),
          key<&E::routing>("routing_us",
                           "What the kernels take in each MoE layer that choose experts and sort "
                           "tokens by them. Where absent: the choice is one kernel, and sorting is "
                           "part of the experts' own.",
                           at_least(0)),
          key<&E::vocabulary_exchange>("vocabulary_exchange",
                                       "GPUs that share a request's heads share the vocabulary "
                                       "too: in every step they add up the embeddings of tokens "
                                       "and gather their logits.")
              .optional(),
          key<&E::captured_batches>("captured_batches",
                                    "Requests of a group (attention_tensor_parallel GPUs) in a "
                                    "micro-batch that graphs were captured of, ascending: any "
                                    "other number runs as the next larger one, and one beyond "
                                    "all as it is. Rows that pad it cost what rows cost but read "
                                    "no KV and choose no experts.",
                                    between(1, 1e6))
              .optional(),
          key<&E::qk_norm_with_sum>("qk_norm_with_sum",
                                    "Where queries and keys are normalized over the heads of all "
                                    "GPUs that share them: the norm is one kernel with the "
                                    "all-reduce that it needs.")
              .optional(),
          key<&E::launch_overlap>("launch_overlap_us",
                                  "By how much a launch begins before the one ahead of it has "
                                  "ended (programmatic dependent launch).",
                                  at_least(0))
              .optional(),
          key<&E::host_stagger>("host_stagger_us",
                                "How far apart GPUs begin a step that hosts of their own launch: "
                                "a standard deviation, taken as normally distributed. All wait "
                                "for the last, and no kernel runs beside that: the GPUs of an "
                                "instance, of afd all that hold requests. None where hosts run "
                                "ahead of their GPUs.",
                                at_least(0))
              .optional(),
          key<&E::exchange_kernels>("exchange_kernels",
                                    "wide_expert_parallel. Without it, all of an exchange runs "
                                    "beside the kernels of other micro-batches."),
          key<&E::exchanges_by_nics>("exchanges_by_nics",
                                     "wide_expert_parallel over several nodes. Exchanges reach "
                                     "the GPUs of their own node over NICs too, as DeepEP's "
                                     "low-latency kernels did until May 2025.")
              .optional(),
      });
  return table;
}

const KeyTable& keys_of(const ProfiledStep* /*of*/) {
  using P = ProfiledStep;
  static const KeyTable table = key_table<P>(
      "profile",
      "A step that the engine runs before it sizes the cache, as vLLM does: it keeps what that "
      "took, whatever the batch.",
      {
          key<&P::tokens>("tokens", "Of prompts, on each group of GPUs that share requests.",
                          between(1, 1e7)),
          key<&P::sequences>("sequences",
                             "That it samples for: every GPU has their logits of the whole "
                             "vocabulary, and sorts them.",
                             between(1, 1e6)),
      });
  return table;
}

const KeyTable& keys_of(const AllReduceWay* /*of*/) {
  using A = AllReduceWay;
  static const KeyTable table = key_table<A>(
      "all_reduce",
      "A way for a library of collectives to sum over the GPUs of several nodes. A sum takes the "
      "overhead, and its buffer over the bandwidth that its size reaches; or what was measured.",
      {
          key<&A::overhead>("overhead_us", "Of the smallest sum.", at_least(0)).optional(),
          key<&A::bandwidth>("bandwidth_GBps", "Of the buffer that is summed.").optional(),
          key<&A::ramp>("ramp",
                        "The share of the bandwidth that sums of 64 B reach, and of each power of "
                        "two above; larger ones reach all of it.",
                        positive(1.0))
              .optional(),
          key<&A::measured>("measured_us",
                            "Sums of 64 B as they were measured, and of each power of two above, "
                            "as nccl-tests prints them; larger ones keep the bandwidth of the "
                            "last. In the place of the other keys.")
              .optional(),
      });
  return table;
}

std::string_view problem_of(const AllReduceWay& way) {
  const bool law = way.bandwidth > BytesPerSecond{};
  const bool part = way.overhead > Seconds{} || !way.ramp.empty();
  return (way.measured.empty() ? law : !law && !part)
             ? ""
             : "expected either \"measured_us\", or \"bandwidth_GBps\" with \"overhead_us\" and "
               "\"ramp\"";
}

}  // namespace ridge::decode

namespace ridge::scenario {

namespace {

constexpr double kMaxGpus = 1e6;

constexpr std::array<Named<decode::CollectiveTiming>, 2> kCollectives = {
    {{"links", decode::CollectiveTiming::links},
     {"kernel_model", decode::CollectiveTiming::kernel_model}}};
constexpr std::array<Named<decode::Gathering>, 2> kGatherings = {
    {{"whole", decode::Gathering::whole}, {"per_message", decode::Gathering::per_message}}};
constexpr std::array<Named<decode::Copies>, 2> kCopies = {
    {{"per_expert", decode::Copies::per_expert}, {"per_node", decode::Copies::per_node}}};
constexpr std::array<Named<decode::ExpertPopularity::Counts>, 2> kExpertRows = {
    {{"drawn", decode::ExpertPopularity::Counts::drawn},
     {"expected", decode::ExpertPopularity::Counts::expected}}};
constexpr std::array<Named<decode::RequestRouting>, 3> kRoutings = {
    {{"round_robin", decode::RequestRouting::round_robin},
     {"least_load", decode::RequestRouting::least_load},
     {"least_kv", decode::RequestRouting::least_kv}}};
constexpr std::array<Named<decode::AdmissionPolicy>, 2> kAdmissionPolicies = {
    {{"final_length", decode::AdmissionPolicy::final_length},
     {"current_length", decode::AdmissionPolicy::current_length}}};
constexpr std::array<Named<decode::NetworkModel>, 2> kNetworkModels = {
    {{"ports", decode::NetworkModel::ports}, {"max_min_fair", decode::NetworkModel::max_min_fair}}};
constexpr std::array<Named<decode::MessagePath>, 2> kMessagePaths = {
    {{"nics", decode::MessagePath::nics}, {"scale_up", decode::MessagePath::scale_up}}};
constexpr std::array<Named<TimestampUnit>, 2> kTimestampUnits = {
    {{"s", TimestampUnit::s}, {"ms", TimestampUnit::ms}}};

std::vector<std::string> pool_names() {
  return {"attention", "ffn", "gpus"};
}

// A model, a chip or ranges: read from their own object here, or told by their name.
template <typename Spec>
class ReferenceType final : public JsonType {
 public:
  explicit ReferenceType(void (*read_spec)(const JsonNode&, Spec&)) : read_spec_(read_spec) {}

  bool read(const JsonNode& node, void* out) const override {
    auto& reference = *static_cast<Reference<Spec>*>(out);
    if (node.is_string()) return node.read(reference.name);
    if (!node.is_object()) {
      node.expected(words());
      return false;
    }
    const std::size_t problems = node.context().diagnostics->errors().size();
    read_spec_(node, reference.spec.emplace());
    return node.context().diagnostics->errors().size() == problems;
  }
  void write(const void* value, OrderedJson& out) const override {
    const auto& reference = *static_cast<const Reference<Spec>*>(value);
    if (reference.spec) {
      write_keys(*reference.spec, out);
    } else {
      out = reference.name;
    }
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = {"string", "object"};
  }
  [[nodiscard]] std::string words() const override { return "a name, a path or an object"; }
  [[nodiscard]] JsonPlace find(void* value, std::span<const std::string> tokens) const override {
    auto& reference = *static_cast<Reference<Spec>*>(value);
    if (tokens.empty()) return {*this, value};
    if (!reference.spec) return {};
    return keys_of(static_cast<const Spec*>(nullptr)).find(&*reference.spec, tokens);
  }

 private:
  void (*read_spec_)(const JsonNode&, Spec&);
};

// "theoretical", or "calibrated:" and a name or path.
class KernelModelType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    std::string name;
    if (!node.read(name)) return false;
    constexpr std::string_view kCalibrated = "calibrated:";
    if (name != "theoretical" &&
        !(name.starts_with(kCalibrated) && name.size() > kCalibrated.size())) {
      node.expected(words());
      return false;
    }
    *static_cast<std::string*>(out) = std::move(name);
    return true;
  }
  void write(const void* value, OrderedJson& out) const override {
    out = *static_cast<const std::string*>(value);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = "string";
    out["pattern"] = "^(theoretical$|calibrated:.)";
  }
  [[nodiscard]] std::string words() const override {
    return "\"theoretical\" or \"calibrated:NAME\" with the name or path of a calibration";
  }
};

// One number per expert, or a path.
class SharesType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    auto& shares = static_cast<ExpertShares*>(out)->shares;
    if (node.is_string()) return node.read(shares.emplace<std::string>());
    return list_->read(node, &shares.emplace<std::vector<double>>());
  }
  void write(const void* value, OrderedJson& out) const override {
    const auto& shares = static_cast<const ExpertShares*>(value)->shares;
    if (const auto* path = std::get_if<std::string>(&shares)) {
      out = *path;
    } else {
      list_->write(&std::get<std::vector<double>>(shares), out);
    }
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = {"array", "string"};
    out["items"] = {{"type", "number"}, {"minimum", 0}};
    out["contains"] = {{"type", "number"}, {"exclusiveMinimum", 0}};
  }
  [[nodiscard]] std::string words() const override {
    return "a list of numbers of at least 0, or a path";
  }

 private:
  JsonTypePtr list_ = keys::type_of<std::vector<double>>("", at_least(0));
};

void check_lengths(const JsonNode& node, const void* object) {
  const auto& lengths = *static_cast<const Lengths*>(object);
  const auto ordered = [](double min, double max) { return max >= min; };
  bool well = true;
  if (const auto* uniform = std::get_if<UniformLength>(&lengths)) {
    well = ordered(uniform->min, uniform->max);
  } else if (const auto* lognormal = std::get_if<LognormalLength>(&lengths)) {
    well = ordered(lognormal->min, lognormal->max);
  }
  if (!well) node.error("max_tokens is below min_tokens");
}

void check_measurement(const JsonNode& node, const void* object) {
  const auto& scenario = *static_cast<const Scenario*>(object);
  const bool closed = std::holds_alternative<ClosedLoop>(scenario.workload);
  if (closed == std::holds_alternative<MeasuredSteps>(scenario.measurement)) return;
  node.child("measurement")
      .error(closed ? "a closed loop is measured in steps: expected \"warmup_steps\" and \"steps\""
                    : "arrivals are measured in time: expected \"warmup_s\" and \"duration_s\"");
}

void check_scenario(const JsonNode& node, const void* object) {
  check_measurement(node, object);
  const auto& scenario = *static_cast<const Scenario*>(object);
  if (!std::holds_alternative<ClosedLoop>(scenario.workload)) return;
  const auto arrivals_only = [&](const char* key, const std::optional<Seconds>& sla) {
    if (!sla) return;
    node.child(key).error("in a closed loop nobody waits: it needs a workload of arrivals");
  };
  arrivals_only("sla_queueing_ms", scenario.sla.queueing);
  arrivals_only("sla_time_in_system_ms", scenario.sla.time_in_system);
}

constexpr const char* kMeasurementRelation = R"({
  "if": {"properties": {"workload": {"properties": {"kind": {"const": "closed_loop"}}}}},
  "then": {"properties": {"measurement": {"required": ["steps"]},
                          "sla_queueing_ms": false, "sla_time_in_system_ms": false}},
  "else": {"properties": {"measurement": {"required": ["duration_s"]}}}
})";

void check_requests(const JsonNode& node, const void* object) {
  const auto& loop = *static_cast<const ClosedLoop*>(object);
  const int given = int{loop.requests_per_gpu.has_value()} +
                    int{loop.requests_per_group.has_value()} + int{loop.requests.has_value()};
  if (given == 1 || !node.context().diagnostics->ok()) return;
  node.error("expected one of \"requests_per_gpu\", \"requests_per_group\" and \"requests\"");
}

constexpr const char* kRequestsRelation = R"({
  "oneOf": [{"required": ["requests_per_gpu"]}, {"required": ["requests_per_group"]},
            {"required": ["requests"]}]
})";

enum class Holds : std::uint8_t { attention, ffn, both };

KeyTable pool_table(std::string name, Holds holds) {
  using P = Pool;
  std::vector<Key<P>> all = {
      key<&P::instances>("instances", "Groups of GPUs that work in step.", between(1, kMaxGpus)),
      key<&P::gpus_per_instance>(
          "gpus_per_instance",
          "They start a stage together and finish it when the slowest is done.",
          between(1, kMaxGpus)),
      key<&P::chip>(
          "chip", "A name (ridge list chips), a path from this file's folder, or the chip itself."),
      Key<P>{{.key = "kernel_model",
              .doc = "\"theoretical\", or \"calibrated:\" and the name or path of a calibration.",
              .access = {keys::member_access<&P::kernel_model>()},
              .type = std::make_shared<KernelModelType>()}},
      key<&P::prefer_kernels>("prefer_kernels",
                              "Kernels to time operators by where the calibration has several for "
                              "one, the first first; a star stands for any letters, and of "
                              "those it names the fastest is taken; ridge show calibrated:NAME "
                              "lists them.",
                              keys::AtLeastOne{"the name of at least one kernel"})
          .optional(),
      key<&P::other_kernels>("other_kernels",
                             "With a calibration: families of operators of which other kernels "
                             "run than any that was measured. Moves no prediction; intervals are "
                             "wider by what kernels need that answer for another "
                             "(hwmodels/data/kernels/transfer_errors.json).",
                             keys::AtLeastOne{"the name of at least one family"},
                             hw::calibrated::family_names())
          .optional(),
      key<&P::assumed_kernels>("assumed_kernels",
                               "With \"theoretical\": what kernels are taken to reach where none "
                               "was measured. Without it they reach the roofline."),
      key<&P::communication_units>("communication_units",
                                   "Of a GPU's compute units (multiprocessors), those that the "
                                   "kernels of messages and exchanges keep for themselves, so that "
                                   "all others run on the rest: 20 to 24 where kernels made for "
                                   "throughput communicate, none where NICs do it alone.",
                                   between(0, 65536))
          .optional(),
      key<&P::gpus_per_node>("gpus_per_node",
                             "That reach each other over scale-up links; the chip's where absent.",
                             between(1, kMaxGpus)),
      key<&P::nic_bandwidth>("nic_bandwidth_GBps",
                             "Per GPU and direction; the chip's where absent."),
      key<&P::scale_up_bandwidth>("scale_up_bandwidth_GBps",
                                  "Per GPU and direction; the chip's where absent."),
      key<&P::price>("price_USD_per_hour", "Of a GPU; the chip's first where absent."),
      key<&P::memory_reserve>(
          "memory_reserve_GB",
          "Of a GPU's memory, for what is neither weights nor KV (CUDA context, "
          "buffers of collectives, activations); estimated where absent.",
          at_least(0)),
  };
  if (holds != Holds::ffn) {
    all.push_back(key<&P::attention_tensor_parallel>(
                      "attention_tensor_parallel", "GPUs that share a request's heads and its KV.",
                      between(1, kMaxGpus))
                      .optional());
    all.push_back(key<&P::context_parallel>("decode_context_parallel",
                                            "Of the GPUs that share a request's heads, those that "
                                            "would hold the same KV (there are more of them than "
                                            "KV heads) and keep a part of its tokens each "
                                            "instead.",
                                            between(1, kMaxGpus))
                      .optional());
    all.push_back(key<&P::output_parallel>("output_parallel",
                                           "GPUs that share the output projection alone.",
                                           between(1, kMaxGpus))
                      .optional());
  }
  if (holds != Holds::attention) {
    all.push_back(
        key<&P::ffn_tensor_parallel>("ffn_tensor_parallel",
                                     "GPUs that share the columns of an expert or a dense "
                                     "FFN. In wide_expert_parallel more than one only where "
                                     "tokens are gathered (exchange).",
                                     between(1, kMaxGpus)));
    all.push_back(key<&P::ffn_expert_parallel>(
        "ffn_expert_parallel", "Groups that hold whole experts.", between(1, kMaxGpus)));
    all.push_back(key<&P::redundant_experts>("redundant_experts",
                                             "Copies of busy experts, over all ranks.",
                                             between(0, kMaxGpus))
                      .optional());
  }
  return key_table<P>(std::move(name), "Instances of equal GPUs that do the same work.",
                      std::move(all));
}

const KeyTable& attention_pool() {
  static const KeyTable table = pool_table("attention_pool", Holds::attention);
  return table;
}
const KeyTable& ffn_pool() {
  static const KeyTable table = pool_table("ffn_pool", Holds::ffn);
  return table;
}
const KeyTable& whole_pool() {
  static const KeyTable table = pool_table("pool", Holds::both);
  return table;
}

}  // namespace

JsonTypePtr json_type_of(const ModelReference* /*of*/, std::string_view /*key*/) {
  return std::make_shared<ReferenceType<models::ModelSpec>>(models::read_model);
}
JsonTypePtr json_type_of(const ChipReference* /*of*/, std::string_view /*key*/) {
  return std::make_shared<ReferenceType<hw::ChipSpec>>(hw::read_chip);
}
JsonTypePtr json_type_of(const RangesReference* /*of*/, std::string_view /*key*/) {
  return std::make_shared<ReferenceType<Ranges>>(
      [](const JsonNode& node, Ranges& out) { (void)read_keys(node, out); });
}

net::Transport Wire::transport() const {
  return {.overhead = overhead.value_or(Seconds{}),
          .efficiency = efficiency.value_or(1.0),
          .source = source.value_or("theory: the wire's bandwidth and no software")};
}

// As net::Transport's keys, any of which may be left out.
static std::vector<KeyEntry> wire_keys(KeyAccess step) {
  using W = Wire;
  return key_table<W>(
             "", "",
             {
                 key<&W::overhead>("overhead_us",
                                   "Software time of each message; none where absent. Where "
                                   "neither it nor the efficiency of any link is told, intervals "
                                   "of tensor_parallel over nodes draw what sums take "
                                   "(scenarios/ranges).",
                                   at_least(0)),
                 key<&W::efficiency>("efficiency",
                                     "Of the wire's bandwidth, for large messages; 1 where absent.",
                                     positive(1.0)),
                 key<&W::source>("source",
                                 "Where overhead and efficiency come from; required with either."),
             })
      .under(step)
      .entries();
}
template <typename C>
void check_wire(const JsonNode& node, const void* object) {
  const Wire& wire = static_cast<const C*>(object)->wire;
  if (wire.is_told() && !wire.source) {
    node.error("expected \"source\": where \"overhead_us\" and \"efficiency\" come from");
  }
}
static constexpr const char* kWireRelation = R"({
  "dependencies": {"overhead_us": ["source"], "efficiency": ["source"]}
})";

static const KeyTable& keys_of(const WholePool* /*of*/) {
  static const KeyTable table = key_table<WholePool>(
      "", "", {key<&WholePool::gpus>("gpus", "They do everything.", whole_pool())});
  return table;
}
static const KeyTable& keys_of(const SplitPools* /*of*/) {
  static const KeyTable table = key_table<SplitPools>(
      "", "",
      {
          key<&SplitPools::attention>("attention", "They hold the attention and its KV.",
                                      attention_pool()),
          key<&SplitPools::ffn>("ffn", "They hold the FFN.", ffn_pool()),
      });
  return table;
}
static const KeyTable& keys_of(const Pools* /*of*/) {
  static const KeyTable table = key_table<Pools>(
      "pools", "Who holds what.", {},
      cases("", "",
            {
                when_holds<SplitPools, Pools>("split", "Attention-FFN disaggregation (afd)."),
                when_holds<WholePool, Pools>("whole", "The other strategies."),
            }));
  return table;
}

const KeyTable& keys_of(const AttentionPrecision* /*of*/) {
  using A = AttentionPrecision;
  static const KeyTable table = key_table<A>(
      "attention_precision", "Where the deployment changes what the model ships with.",
      {
          key<&A::cache>("cache", "Of the KV.", models::precision_names()),
          key<&A::compute>("compute", "Of the products with it.", models::precision_names()),
      });
  return table;
}
const KeyTable& keys_of(const DraftModel* /*of*/) {
  static const KeyTable table = key_table<DraftModel>(
      "draft_model",
      "Layers that draft in place of the model's own modules, as EAGLE's do: each draft passes "
      "through all of them and the model's LM head.",
      {
          key<&DraftModel::layers>("layers", "How many, all alike.", between(1, 64)).optional(),
          key<&DraftModel::attention>("attention", "The name of one of the model's attentions."),
          key<&DraftModel::ffn>("ffn", "The name of one of the model's FFNs."),
      });
  return table;
}
static const KeyTable& keys_of(const Drafting* /*of*/) {
  static const KeyTable table = key_table<Drafting>(
      "drafting", "Tokens that are guessed and checked in one step (speculative decoding).",
      {
          key<&Drafting::draft_model>("draft_model",
                                      "What drafts, where it is not the model's own "
                                      "multi-token-prediction modules."),
          key<&Drafting::tokens>("tokens", "Drafted per step.", between(0, 64)),
          key<&Drafting::acceptance_by_position>("acceptance_by_position",
                                                 "The same of the first drafts, one by one, where "
                                                 "they differ; \"acceptance\" holds for "
                                                 "those after them.",
                                                 between(0, 1))
              .optional(),
          key<&Drafting::acceptance>("acceptance",
                                     "Of each draft, given that those before it were accepted.",
                                     between(0, 1)),
      });
  return table;
}

static const KeyTable& keys_of(const Deployment* /*of*/) {
  using D = Deployment;
  static const KeyTable table = key_table<D>(
      "deployment", "Who holds what, and how a step runs through it.",
      {
          key<&D::strategy>("strategy",
                            "afd has the pools attention and ffn, the others the pool gpus.",
                            decode::strategy_names()),
          key<&D::micro_batches>("micro_batches", "In flight at once on each replica.",
                                 between(1, 64)),
          key<&D::replicas>("replicas", "Independent copies of all pools behind one router.",
                            between(1, 65536))
              .optional(),
          key<&D::dispatch>("dispatch",
                            "afd. broadcast: every token to every FFN instance. routed: to those "
                            "that hold one of its experts.",
                            std::span(kDispatches))
              .optional(),
          key<&D::collectives>("collectives",
                               "links: bytes over bandwidth, with the transports' overheads and "
                               "efficiencies. kernel_model: the pool's kernel model, from measured "
                               "collectives where it is calibrated.",
                               std::span(kCollectives))
              .optional(),
          key<&D::gathering>("gathering",
                             "What the collectives of an FFN instance wait for (afd). whole: all "
                             "messages of a micro-batch. per_message: each message is gathered as "
                             "it arrives and sent as soon as it is scattered, so that NICs and "
                             "in-node links work at the same time.",
                             std::span(kGatherings))
              .optional(),
          key<&D::exchange>("exchange",
                            "How tokens get to their experts and results back "
                            "(wide_expert_parallel). all_to_all: to the GPUs that hold their "
                            "experts, as DeepEP's kernels do. gather_scatter: all GPUs gather all "
                            "tokens, and the sums of results are scattered to the GPUs of the "
                            "tokens (TensorRT-LLM, vLLM and SGLang where no other way is asked "
                            "for). gather_sum: likewise, but every GPU gets all sums (models of "
                            "SGLang without such a scatter, until April 2026).",
                            std::span(kExchangeWays))
              .optional(),
          key<&D::schedule>(
              "schedule",
              "In what order a resource serves micro-batches. fifo: as their work becomes ready. "
              "cyclic: in a fixed rotation, in which nothing that becomes faster makes a step "
              "slower; closed loops only. Of wide_expert_parallel in closed loops, as engines "
              "overlap two batches: staged (SGLang, DeepSeek), each layer in five stages, the "
              "second batch two stages behind the first; ping_pong (vLLM), attention and experts "
              "of "
              "one and of the other in turn. Where absent: cyclic for afd in a closed loop on "
              "ports, "
              "else fifo.",
              std::span(kSchedules)),
          key<&D::scale_up_overlaps_compute>("scale_up_overlaps_compute",
                                             "Collectives within an instance run beside the "
                                             "kernels of other micro-batches.")
              .optional(),
          key<&D::step_overhead>(
              "step_overhead_us",
              "Sampling, scheduling and graph launch, once per step of the engine, which all "
              "micro-batches share. Where absent: none, and intervals draw it from the engine's "
              "range (scenarios/ranges).",
              at_least(0)),
          key<&D::execution>("execution",
                             "How the engine launches a step's kernels, where that differs from "
                             "one after the other as each was measured alone.")
              .optional(),
          key<&D::attention_precision>("attention_precision",
                                       "Where the deployment changes what the model ships with."),
          key<&D::drafting>("drafting",
                            "Tokens that are guessed and checked in one step (speculative "
                            "decoding)."),
          key<&D::pools>("pools", "Of GPUs."),
      });
  return table;
}

const KeyTable& keys_of(const Network* /*of*/) {
  using N = Network;
  static const KeyTable table = [] {
    std::vector<Key<N>> all = {
        key<&N::model>(
            "model",
            "ports: each NIC direction serves one message at a time, the fabric is never "
            "full. max_min_fair: all links are shared max-min fairly. Only messages between pools "
            "(afd) tell the two apart.",
            std::span(kNetworkModels))
            .optional()};
    all.push_back(key<&N::path>("path",
                                "What messages between pools go over (afd). nics: the NICs. "
                                "scale_up: the links of one scale-up domain that holds all GPUs of "
                                "a replica, as an NVL72 does, with the pools' scale_up_bandwidth "
                                "and what scale_up says of software.",
                                std::span(kMessagePaths))
                      .optional());
    for (auto& entry : wire_keys(keys::member_access<&N::wire>()))
      all.push_back({std::move(entry)});
    all.push_back(key<&N::copies>("copies",
                                  "What an exchange between tokens and experts sends over NICs. "
                                  "per_expert: a token once for each of its experts in other "
                                  "nodes. per_node: once for each node that holds any of them "
                                  "(as DeepEP's kernels for throughput do).",
                                  std::span(kCopies))
                      .optional());
    all.push_back(key<&N::nodes_per_token>("nodes_per_token",
                                           "With per_node: to how many nodes the router sends a "
                                           "token at most, as group-limited routing does; any "
                                           "number where absent.",
                                           between(1, kMaxGpus)));
    all.push_back(key<&N::all_reduce>("all_reduce",
                                      "tensor_parallel over several nodes: the ways that a library "
                                      "of collectives has to sum over all GPUs, of which it takes "
                                      "the fastest for the size. Without it, the GPUs of a node "
                                      "sum first, then those of other nodes that hold the same "
                                      "part, over the links.")
                      .optional());
    all.push_back(
        key<&N::fabric>("fabric",
                        "Leaf and spine switches between the nodes. Without it one switch "
                        "joins them all."));
    return key_table<N>(
               "network",
               "Between instances and nodes: over the NICs, unless \"path\" says otherwise.",
               std::move(all))
        .relation(check_wire<N>, kWireRelation);
  }();
  return table;
}

const KeyTable& keys_of(const ScaleUp* /*of*/) {
  using U = ScaleUp;
  static const KeyTable table = [] {
    std::vector<Key<U>> all;
    for (auto& entry : wire_keys(keys::member_access<&U::wire>()))
      all.push_back({std::move(entry)});
    all.push_back(key<&U::in_switch_reduction>(
                      "in_switch_reduction",
                      "Whether the switch multicasts what all receive and adds up what all send "
                      "(NVLS), so that a gather loads one direction of the links and a scatter of "
                      "sums the other.")
                      .optional());
    return key_table<U>("scale_up", "Within a node: NVLink or its like.", std::move(all))
        .relation(check_wire<U>, kWireRelation);
  }();
  return table;
}

static const KeyTable& keys_of(const FixedLength* /*of*/) {
  static const KeyTable table = key_table<FixedLength>(
      "", "", {key<&FixedLength::tokens>("tokens", "", between(1, kMaxTokens))});
  return table;
}
static const KeyTable& keys_of(const UniformLength* /*of*/) {
  using U = UniformLength;
  static const KeyTable table =
      key_table<U>("", "",
                   {
                       key<&U::min>("min_tokens", "", between(1, kMaxTokens)),
                       key<&U::max>("max_tokens", "", between(1, kMaxTokens)),
                   });
  return table;
}
static const KeyTable& keys_of(const LognormalLength* /*of*/) {
  using L = LognormalLength;
  static const KeyTable table = key_table<L>(
      "", "",
      {
          key<&L::median>("median_tokens", "", between(1, kMaxTokens)),
          key<&L::min>("min_tokens", "", between(1, kMaxTokens)),
          key<&L::max>("max_tokens", "", between(1, kMaxTokens)),
          key<&L::sigma>("sigma", "Standard deviation of the logarithm.", between(0, 10)),
      });
  return table;
}
const KeyTable& keys_of(const Lengths* /*of*/) {
  static const KeyTable table =
      key_table<Lengths>("lengths", "How many tokens.", {},
                         cases("kind", "",
                               {
                                   when_holds<FixedLength, Lengths>("fixed", ""),
                                   when_holds<UniformLength, Lengths>("uniform", ""),
                                   when_holds<LognormalLength, Lengths>("lognormal", ""),
                               }))
          .relation(check_lengths);
  return table;
}

static const KeyTable& keys_of(const ClosedLoop* /*of*/) {
  using C = ClosedLoop;
  static const KeyTable table =
      key_table<C>(
          "", "",
          {
              key<&C::requests_per_gpu>(
                  "requests_per_gpu",
                  "Of the pool that keeps the requests, over all micro-batches; "
                  "whole for the GPUs that share requests together.",
                  positive(1e6)),
              key<&C::requests_per_group>("requests_per_group",
                                          "Instead: of each group of GPUs that share requests.",
                                          between(1, 1e9)),
              key<&C::requests>("requests", "Instead: in all.", between(1, 1e9)),
              key<&C::context>("context", "Tokens in the KV cache when a request begins."),
          },
          cases("steady", "Contexts neither grow nor end.",
                {
                    when<&C::steady>(
                        true, true,
                        "Always as many requests, whose contexts neither grow nor end, as papers "
                        "measure.",
                        {key<&C::longest_context>(
                            "longest_context_tokens",
                            "Of the longest request, where contexts are told by their mean: taken "
                            "to be in every micro-batch of every group, which wait for each other. "
                            "Attention kernels that cut all sequences by the longest end with it. "
                            "The longest of each as drawn where absent.",
                            between(1, kMaxTokens))}),
                    when<&C::steady>(
                        false, false, "Always as many requests; one that ends is replaced at once.",
                        {key<&C::output>("output", "Tokens that a request generates.")}),
                })
              .usually(1))
          .relation(check_requests, kRequestsRelation);
  return table;
}
const KeyTable& keys_of(const Poisson* /*of*/) {
  using P = Poisson;
  static const KeyTable table =
      key_table<P>("", "",
                   {
                       key<&P::requests_per_second>(
                           "requests_per_s", "At the router, for all replicas.", positive(1e9)),
                       key<&P::context>("context", "Tokens in the KV cache when a request begins."),
                       key<&P::output>("output", "Tokens that a request generates."),
                   });
  return table;
}
const KeyTable& keys_of(const Trace* /*of*/) {
  using T = Trace;
  static const KeyTable table = key_table<T>(
      "", "",
      {
          key<&T::file>("file",
                        "From this file's folder; .gz is unpacked. CSV of Azure (TIMESTAMP, "
                        "ContextTokens, GeneratedTokens), BurstGPT (Timestamp, Request tokens, "
                        "Response tokens) or Vidur (arrived_at, num_prefill_tokens, "
                        "num_decode_tokens), or Mooncake's JSON lines (timestamp in ms, "
                        "input_length, output_length)."),
          key<&T::rate_scale>("rate_scale", "Arrivals come this many times as fast.", positive(1e6))
              .optional(),
          key<&T::max_requests>("max_requests", "The first so many lines; all where absent.",
                                at_least(1)),
          key<&T::sort>("sort_by_arrival",
                        "Whether lines may stand in another order than that of their times.")
              .optional(),
          key<&T::timestamp_unit>("timestamp_unit",
                                  "Of plain numbers, where they look like the other unit than "
                                  "their format's.",
                                  std::span(kTimestampUnits)),
      });
  return table;
}
static const KeyTable& keys_of(const Workload* /*of*/) {
  static const KeyTable table = key_table<Workload>(
      "workload", "Who asks for tokens.", {},
      cases("kind", "",
            {
                when_holds<ClosedLoop, Workload>("closed_loop", ""),
                when_holds<Poisson, Workload>("poisson", "Requests arrive at random."),
                when_holds<Trace, Workload>("trace", "Requests arrive as recorded."),
            }));
  return table;
}

static const KeyTable& keys_of(const Admission* /*of*/) {
  using A = Admission;
  static const KeyTable table = key_table<A>(
      "admission", "When a request may begin, and where.",
      {
          key<&A::routing>("routing",
                           "Which GPU of a micro-batch gets a new request. Among replicas "
                           "least_load and least_kv both choose the one with the fewest requests.",
                           std::span(kRoutings))
              .optional(),
          key<&A::policy>("policy",
                          "What memory a request must find free. final_length: for all tokens that "
                          "it will have, which is set aside. current_length: for those that it "
                          "has; where memory runs out later, the request admitted last gives its "
                          "place up, waits again, and comes back with its cache as a new one does.",
                          std::span(kAdmissionPolicies))
              .optional(),
          key<&A::max_requests_per_gpu>(
              "max_requests_per_gpu", "Over all micro-batches; memory alone decides where absent.",
              between(1, 1e6)),
          key<&A::page_tokens>("page_tokens",
                               "KV memory is given out in pages of this many tokens.",
                               between(1, 1e6))
              .optional(),
          key<&A::memory_utilization>("memory_utilization",
                                      "Share of a GPU's memory for weights and KV together.",
                                      positive(1.0))
              .optional(),
          key<&A::profile>("profile",
                           "A step that the engine sizes its cache by; the steps of the workload "
                           "where absent."),
      });
  return table;
}

static const KeyTable& keys_of(const SlowGpu* /*of*/) {
  using S = SlowGpu;
  static const KeyTable table = key_table<S>(
      "slow_gpu", "",
      {
          key<&S::pool>("pool", "", pool_names()),
          key<&S::instance>("instance", "From 0.", at_least(0)),
          key<&S::gpu>("gpu", "Of the instance, from 0.", at_least(0)),
          key<&S::factor>("factor", "Takes this many times as long.", between(1, 1000)),
      });
  return table;
}
static const KeyTable& keys_of(const SlowLink* /*of*/) {
  using S = SlowLink;
  static const KeyTable table = key_table<S>(
      "slow_link", "",
      {
          key<&S::pool>("pool", "", pool_names()),
          key<&S::instance>("instance", "From 0.", at_least(0)),
          key<&S::factor>("factor", "Takes this many times as long.", between(1, 1000)),
      });
  return table;
}
static const KeyTable& keys_of(const UniformExperts* /*of*/) {
  static const KeyTable table = key_table<UniformExperts>("", "", {});
  return table;
}
static const KeyTable& keys_of(const PowerLawExperts* /*of*/) {
  static const KeyTable table = key_table<PowerLawExperts>(
      "", "",
      {key<&PowerLawExperts::exponent>(
           "exponent", "The r-th expert is chosen in proportion to r to the power of minus this.",
           between(0, 10)),
       key<&PowerLawExperts::balancer_error>(
           "balancer_error",
           "Experts and copies lie where a balancer put them that knew how popular each is up to a "
           "factor with this standard deviation of its logarithm. Where absent, copies alone are "
           "placed, by what is true, and experts without copies by their numbers.",
           between(0, 10))});
  return table;
}
static const KeyTable& keys_of(const ExpertShares* /*of*/) {
  static const KeyTable table = key_table<ExpertShares>(
      "", "",
      {key_of_all<ExpertShares>("shares",
                                "Of the choices, one per expert; their sum does not matter. Or the "
                                "path of a JSON file with that array, from this file's folder.",
                                std::make_shared<SharesType>())});
  return table;
}
static const KeyTable& keys_of(const Experts* /*of*/) {
  static const KeyTable table =
      key_table<Experts>("experts", "Which experts are popular is drawn anew for each layer.", {},
                         cases("popularity", "",
                               {
                                   when_holds<UniformExperts, Experts>("uniform", ""),
                                   when_holds<PowerLawExperts, Experts>("power_law", ""),
                                   when_holds<ExpertShares, Experts>("shares", ""),
                               }));
  return table;
}
static const KeyTable& keys_of(const Noise* /*of*/) {
  using N = Noise;
  static const KeyTable table = key_table<N>(
      "noise", "What does not run as it should.",
      {
          key<&N::kernel_jitter>("kernel_jitter",
                                 "Standard deviation of the logarithm of a factor of median 1 on "
                                 "each GPU's part of a stage.",
                                 between(0, 2))
              .optional(),
          key<&N::network_jitter>("network_jitter",
                                  "The same on messages and collectives, which it only delays.",
                                  between(0, 2))
              .optional(),
          key<&N::slow_gpus>("slow_gpus", "In every replica.").optional(),
          key<&N::slow_links>("slow_links",
                              "All NICs of an instance, both directions, in every replica.")
              .optional(),
          key<&N::experts>("experts",
                           "Which experts are popular. Where absent: all alike, and intervals draw "
                           "it from a range (scenarios/ranges)."),
          key<&N::expert_rows>("expert_rows",
                               "How many tokens each expert gets: as a step's tokens choose at "
                               "random, or the mean of that, in which equal experts are equally "
                               "busy.",
                               std::span(kExpertRows))
              .optional(),
      });
  return table;
}

static const KeyTable& keys_of(const MeasuredSteps* /*of*/) {
  using M = MeasuredSteps;
  static const KeyTable table = key_table<M>(
      "", "",
      {
          key<&M::warmup>("warmup_steps", "Of a micro-batch, not counted.", between(0, 1e6)),
          key<&M::steps>("steps", "Of a micro-batch.", between(1, 1e6)),
      });
  return table;
}
static const KeyTable& keys_of(const MeasuredTime* /*of*/) {
  using M = MeasuredTime;
  static const KeyTable table =
      key_table<M>("", "",
                   {
                       key<&M::warmup>("warmup_s", "Simulated, not counted.", at_least(0)),
                       key<&M::duration>("duration_s", "Simulated.", positive(1e6)),
                   });
  return table;
}
static const KeyTable& keys_of(const Measurement* /*of*/) {
  static const KeyTable table = key_table<Measurement>(
      "measurement", "What part of the run counts.", {},
      cases("", "",
            {
                when_holds<MeasuredSteps, Measurement>("steps", "In a closed loop."),
                when_holds<MeasuredTime, Measurement>("time", "Of arrivals."),
            }));
  return table;
}

static const KeyTable& keys_of(const Sla* /*of*/) {
  static const KeyTable table = key_table<Sla>(
      "sla", "What is asked of the 95th percentile.",
      {
          key<&Sla::tpot>("sla_tpot_ms", "Compared with the 95th percentile of TPOT."),
          key<&Sla::queueing>("sla_queueing_ms",
                              "The same of the time from arrival to admission; of arrivals only."),
          key<&Sla::time_in_system>(
              "sla_time_in_system_ms",
              "The same of the time from arrival to the last token; of arrivals only."),
      });
  return table;
}

const KeyTable& keys_of(const Scenario* /*of*/) {
  using S = Scenario;
  static const KeyTable table = [] {
    std::vector<Key<S>> all = {
        key_of_all<S>("kind", "", keys::constant("simulate", "a scenario of kind \"simulate\"")),
        key<&S::title>("title", "The question in a line."),
        key<&S::model>("model",
                       "A name (ridge list models), a path from this file's folder, "
                       "or the model itself."),
        key<&S::deployment>("deployment", "Who holds what."),
        key<&S::network>(
            "network",
            "Between instances and nodes: over the NICs, unless \"path\" says otherwise."),
        key<&S::scale_up>("scale_up", "Within a node: NVLink or its like."),
        key<&S::workload>("workload", "Who asks for tokens."),
        key<&S::admission>("admission", "When a request may begin, and where.").optional(),
        key<&S::noise>("noise", "What does not run as it should.").optional(),
        key<&S::measurement>("measurement",
                             "Steps of a micro-batch in a closed loop, otherwise "
                             "simulated time."),
    };
    std::vector<KeyEntry> sla =
        keys_of(static_cast<const Sla*>(nullptr)).under(keys::member_access<&S::sla>()).entries();
    for (auto& entry : sla) all.push_back({std::move(entry)});
    all.push_back(key<&S::ranges>("ranges", std::string(kRangesWords)));
    all.push_back(key<&S::seed>("seed", "Of all randomness.", at_least(0)).optional());
    return key_table<S>("",
                        "A deployment, its requests and its disturbances. docs/simulation.md tells "
                        "the whole story.",
                        std::move(all))
        .relation(check_scenario, kMeasurementRelation)
        .file("simulate scenario");
  }();
  return table;
}

}  // namespace ridge::scenario
