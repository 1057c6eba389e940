// The keys of a goal.
#include "ridge/base/keys.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/plan/goal.hpp"
#include "ridge/scenario/requests.hpp"

#include <array>

namespace ridge::plan {

namespace {

constexpr double kMaxGpus = 65536;

constexpr std::array<Named<Objective>, 4> kObjectives = {
    {{"tokens_per_s_per_gpu", Objective::tokens_per_second_per_gpu},
     {"usd_per_Mtok", Objective::usd_per_million_tokens},
     {"tokens_per_s", Objective::tokens_per_second},
     {"gpus", Objective::gpus}}};

}  // namespace

std::string_view name_of(Objective objective) {
  for (const auto& named : kObjectives) {
    if (named.value == objective) return named.name;
  }
  return {};
}

static const KeyTable& keys_of(const Stock* /*of*/) {
  using S = Stock;
  static const KeyTable table = key_table<S>(
      "stock", "A kind of chip that may be used.",
      {
          key<&S::chip>("chip",
                        "A name (ridge list chips), a path from this file's folder, or the chip "
                        "itself."),
          key<&S::gpus>("gpus", "Of this kind, at most; no limit of its own where absent.",
                        between(1, kMaxGpus)),
          key<&S::kernel_model>("kernel_model",
                                "\"theoretical\", or \"calibrated:\" and the name or path of a "
                                "calibration. Where absent, the calibration of the chip's own "
                                "name, else one of its generation, else \"theoretical\"; the "
                                "answer tells which."),
          key<&S::prefer_kernels>("prefer_kernels",
                                  "Kernels to time operators by where the calibration has several "
                                  "for one, the first first.",
                                  keys::AtLeastOne{"the name of at least one kernel"})
              .optional(),
          key<&S::price>("price_USD_per_hour", "Of a GPU; the chip's first where absent."),
      });
  return table;
}

static const KeyTable& keys_of(const Allowed* /*of*/) {
  using A = Allowed;
  static const KeyTable table = key_table<A>(
      "allowed", "What may be tried. A list that is absent leaves its choice open.",
      {
          key<&A::strategies>("strategies", "Of deployment.", keys::AtLeastOne{"a strategy"},
                              decode::strategy_names())
              .optional(),
          key<&A::gpus_per_instance>("gpus_per_instance",
                                     "Of the instances of afd; whole nodes where absent.",
                                     keys::AtLeastOne{"a number of GPUs"}, between(1, kMaxGpus))
              .optional(),
          key<&A::micro_batches>("micro_batches", "In flight at once; 1 to 6 where absent.",
                                 keys::AtLeastOne{"a number of micro-batches"}, between(1, 64))
              .optional(),
          key<&A::attention_tensor_parallel>(
              "attention_tensor_parallel",
              "GPUs that share a request's heads, all of a tensor-parallel deployment; powers of "
              "two where "
              "absent, of afd and wide expert parallelism within a node.",
              keys::AtLeastOne{"a number of GPUs"}, between(1, kMaxGpus))
              .optional(),
          key<&A::context_parallel>(
              "decode_context_parallel",
              "Of the GPUs that share a request's heads, those that keep a part of its tokens each "
              "in place of the same KV. Where absent, none, and in tensor_parallel all that would "
              "keep the same.",
              keys::AtLeastOne{"a number of GPUs"}, between(1, kMaxGpus))
              .optional(),
          key<&A::drafts>("drafts",
                          "Tokens drafted per step (speculative decoding), accepted as the "
                          "assumptions' \"drafting\" says; none where absent.",
                          keys::AtLeastOne{"a number of drafts"}, between(0, 64))
              .optional(),
          key<&A::redundant_experts>(
              "redundant_experts",
              "Copies of experts in wide expert parallelism. Where absent, the fewest that make "
              "the experts divide over the ranks.",
              keys::AtLeastOne{"a number of copies"}, between(0, kMaxGpus))
              .optional(),
          key<&A::dispatches>("dispatches", "Of afd; both where absent.",
                              keys::AtLeastOne{"a dispatch"}, std::span(scenario::kDispatches))
              .optional(),
          key<&A::schedules>("schedules",
                             "In what order resources serve micro-batches; both where absent.",
                             keys::AtLeastOne{"a schedule"}, scenario::kSchedulesOfAll)
              .optional(),
          key<&A::unlike_pools>("unlike_pools",
                                "Whether afd may hold attention and FFN on different chips.")
              .optional(),
      });
  return table;
}

static const KeyTable& keys_of(const Drafting* /*of*/) {
  using D = Drafting;
  static const KeyTable table = key_table<D>(
      "drafting", "What drafts, and how often it is right.",
      {
          key<&D::acceptance>("acceptance",
                              "Of each draft, given that those before it were accepted.",
                              between(0, 1)),
          key<&D::acceptance_by_position>("acceptance_by_position",
                                          "The same of the first drafts, one by one, where they "
                                          "differ; \"acceptance\" holds for those after them.",
                                          between(0, 1))
              .optional(),
          key<&D::draft_model>("draft_model",
                               "What drafts, where it is not the model's own "
                               "multi-token-prediction modules."),
      });
  return table;
}

static const KeyTable& keys_of(const RenewedRequests* /*of*/) {
  using R = RenewedRequests;
  static const KeyTable table =
      key_table<R>("", "",
                   {
                       key<&R::context>("context", "Tokens in the KV cache when a request begins."),
                       key<&R::output>("output", "Tokens that a request generates."),
                   });
  return table;
}
static const KeyTable& keys_of(const Workload* /*of*/) {
  static const KeyTable table = key_table<Workload>(
      "workload", "Who asks for tokens.", {},
      cases("kind", "",
            {
                when_holds<RenewedRequests, Workload>(
                    "closed_loop",
                    "As many requests as are best; one that ends is replaced at once."),
                when_holds<scenario::Poisson, Workload>("poisson", "Requests arrive at random."),
                when_holds<scenario::Trace, Workload>("trace", "Requests arrive as recorded."),
            }));
  return table;
}

static void check_requests(const JsonNode& node, const void* object) {
  const auto& goal = *static_cast<const Goal*>(object);
  if (!node.context().diagnostics->ok()) return;
  if (goal.context.has_value() == goal.workload.has_value()) {
    node.error("expected one of \"context_tokens\" and \"workload\"");
  }
}
static constexpr const char* kRequestsRelation = R"({
  "oneOf": [{"required": ["context_tokens"]}, {"required": ["workload"]}]
})";

static const KeyTable& keys_of(const Assumptions* /*of*/) {
  using A = Assumptions;
  static const KeyTable table = key_table<A>(
      "assumptions", "What the plan takes for granted. What it takes besides stands in the answer.",
      {
          key<&A::network>(
              "network",
              "Between instances and nodes: over the NICs, unless \"path\" says otherwise.")
              .optional(),
          key<&A::scale_up>("scale_up", "Within a node: NVLink or its like.").optional(),
          key<&A::step_overhead>(
              "step_overhead_us",
              "Sampling, scheduling and graph launch, once per step of the engine, which all "
              "micro-batches share. Where absent: none, and draws take it from the engine's "
              "range (scenarios/ranges).",
              at_least(0)),
          key<&A::attention_precision>("attention_precision",
                                       "Where the deployment changes what the model ships with."),
          key<&A::drafting>("drafting", "Of drafts, where any are allowed."),
          key<&A::memory_utilization>("memory_utilization",
                                      "Share of a GPU's memory for weights and KV together.",
                                      positive(1.0))
              .optional(),
      });
  return table;
}

const KeyTable& keys_of(const Goal* /*of*/) {
  using G = Goal;
  static const KeyTable table =
      key_table<G>(
          "", "What is wanted, and with what it may be reached. docs/planning.md tells more.",
          {
              key_of_all<G>("kind", "", keys::constant("plan", "a goal, of kind \"plan\"")),
              key<&G::title>("title", "The question in a line."),
              key<&G::models>("models",
                              "Names (ridge list models), paths from this file's folder, or the "
                              "models themselves.",
                              keys::AtLeastOne{"at least one model"}),
              key<&G::chips>("chips", "Kinds of chips that may be used.",
                             keys::AtLeastOne{"at least one kind of chip"}),
              key<&G::gpus>("gpus", "Of all kinds together, at most.", between(1, kMaxGpus)),
              key<&G::budget>("budget_USD_per_hour", "For all GPUs together, at most."),
              key<&G::context>("context_tokens", "Cached tokens of each request; 8K is 8192.",
                               between(1, 1e9)),
              key<&G::workload>("workload",
                                "In place of context_tokens: requests that differ, or that "
                                "arrive. The search goes by the context that they have on "
                                "average in decode; what it ranks is simulated with the requests "
                                "themselves."),
              key<&G::sla_tpot>("sla_tpot_ms", "Compared with a percentile of TPOT."),
              key<&G::sla_queueing>("sla_queueing_ms",
                                    "The same of the time from arrival to admission; of a workload "
                                    "that arrives."),
              key<&G::sla_percentile>("sla_percentile", "That the SLA is compared with.",
                                      between(50, 99.9))
                  .optional(),
              key<&G::confidence>("confidence",
                                  "Share of draws of the calibrations in which the SLA shall be "
                                  "met.",
                                  between(0, 1))
                  .optional(),
              key<&G::rate>("tokens_per_s",
                            "Wanted of all GPUs together; as much as they give where absent.",
                            positive(1e12)),
              key<&G::objective>("objective",
                                 "What the best deployment has most of (tokens/s), or least (USD, "
                                 "GPUs). Where absent: gpus where a rate is wanted, usd_per_Mtok "
                                 "where there are several kinds of chips, else "
                                 "tokens_per_s_per_gpu.",
                                 std::span(kObjectives)),
              key<&G::allowed>("allowed", "What may be tried.").optional(),
              key<&G::assumptions>("assumptions", "What the plan takes for granted.").optional(),
              key<&G::ranges>("ranges", std::string(scenario::kRangesWords)),
              key<&G::seed>("seed", "Of all randomness.", at_least(0)).optional(),
          })
          .relation(check_requests, kRequestsRelation)
          .file("goal");
  return table;
}

}  // namespace ridge::plan
