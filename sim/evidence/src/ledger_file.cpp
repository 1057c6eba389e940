#include "ledger_file.hpp"

#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"

#include <array>

namespace ridge::evidence {
namespace {

class AnyValue final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    static_cast<ChangedValue*>(out)->json = node.json();
    return true;
  }
  void write(const void* value, OrderedJson& out) const override {
    out = static_cast<const ChangedValue*>(value)->json;
  }
  void describe(OrderedJson& /*out*/, SchemaDefinitions& /*definitions*/) const override {}
  [[nodiscard]] std::string words() const override { return "any value"; }
};

std::vector<std::string> quantities() {
  std::vector<std::string> names;
  for (const auto& figure : answer::simulation_figures()) {
    const bool number = figure.spec.kind == view::FigureKind::number;
    if (number && answer::of_one_run(figure)) names.emplace_back(figure.spec.name);
  }
  return names;
}

using AttentionKind = models::DecodeAttention::Kind;
constexpr std::array<Named<AttentionKind>, 2> kAttentionKinds = {
    {{"grouped_attention", AttentionKind::grouped}, {"latent_attention", AttentionKind::latent}}};

constexpr double kMaxSize = 1e6;
constexpr double kMaxTokens = 1e9;

// Whose kernels a figure asks, before what it asks of them.
template <typename F>
std::vector<Key<F>> with_kernels(std::vector<Key<F>> own) {
  std::vector<Key<F>> all;
  all.push_back(key_in<&F::kernels, &AskedKernels::chip>(
      "chip", "A name, or a path from this file's folder."));
  all.push_back(key_in<&F::kernels, &AskedKernels::kernel_model>(
      "kernel_model", "\"theoretical\" or \"calibrated:NAME\"."));
  all.push_back(key_in<&F::kernels, &AskedKernels::prefer>(
                    "prefer_kernels", "Of the calibration, before the others.",
                    keys::AtLeastOne{"the name of at least one kernel"})
                    .optional());
  for (Key<F>& one : own) all.push_back(std::move(one));
  return all;
}

// Which scenario a figure simulates, before what it asks of it.
template <typename F>
std::vector<Key<F>> with_scenario(std::vector<Key<F>> own) {
  std::vector<Key<F>> all;
  all.push_back(key<&F::scenario>(
      "scenario", "A simulate scenario: a name, or a path from this file's folder."));
  all.push_back(key<&F::changes>("changes",
                                 "JSON pointers into the scenario, and the values that stand there "
                                 "instead.")
                    .optional());
  all.push_back(key<&F::taken>("taken",
                               "JSON pointers to what the scenario leaves open and intervals draw, "
                               "and the values that the prediction takes there.")
                    .optional());
  for (Key<F>& one : own) all.push_back(std::move(one));
  return all;
}

}  // namespace

static JsonTypePtr json_type_of(const ChangedValue* /*of*/, std::string_view /*key*/) {
  return std::make_shared<AnyValue>();
}

static const KeyTable& keys_of(const DeploymentFigure* /*of*/) {
  using F = DeploymentFigure;
  static const KeyTable table =
      key_table<F>("", "",
                   with_scenario<F>({
                       key<&F::quantity>("quantity", "Of its answer.", quantities()),
                   }));
  return table;
}

static const KeyTable& keys_of(const ComparisonFigure* /*of*/) {
  using F = ComparisonFigure;
  static const KeyTable table = key_table<F>(
      "", "",
      with_scenario<F>({
          key<&F::beside>("beside",
                          "The scenario whose tokens a second and GPU it is compared with."),
          key<&F::beside_changes>("beside_changes", "As changes, of that one.").optional(),
          key<&F::beside_taken>("beside_taken", "As taken, of that one.").optional(),
      }));
  return table;
}

static const KeyTable& keys_of(const LayerFigure* /*of*/) {
  using F = LayerFigure;
  using models::AttentionShard;
  using models::DecodeShape;
  static const KeyTable table = key_table<F>(
      "", "",
      with_kernels<F>({
          key<&F::model>("model", "A name, or a path from this file's folder."),
          key_in<&F::shape, &DecodeShape::context>("context_tokens", "", between(1, kMaxTokens)),
          key_in<&F::shape, &DecodeShape::sequences>(
              "sequences", "Of each GPU, or tensor-parallel group.", between(1, kMaxSize)),
          key_in<&F::shard, &AttentionShard::tensor_parallel>("tensor_parallel", "",
                                                              between(1, 1024)),
          key<&F::precision>("attention_precision", "Of the cache and the products with it.",
                             models::precision_names()),
          key<&F::filled_tiles>("filled_tiles",
                                "As if the attention kernel had tiles that its query rows just "
                                "fill.")
              .optional(),
      }));
  return table;
}

static const KeyTable& keys_of(const AttentionFigure* /*of*/) {
  using F = AttentionFigure;
  using S = models::DecodeAttention;
  static const KeyTable table = key_table<F>(
      "", "",
      with_kernels<F>({
          key_in<&F::shape, &S::kind>("kernel", "Heads of K and V, or the absorbed latent of MLA.",
                                      std::span<const Named<AttentionKind>>(kAttentionKinds)),
          key_in<&F::shape, &S::sequences>("sequences", "", between(1, kMaxSize)),
          key_in<&F::shape, &S::context>("context_tokens", "", between(1, kMaxTokens)),
          key_in<&F::shape, &S::queries_per_sequence>("queries_per_sequence", "",
                                                      between(1, kMaxSize)),
          key_in<&F::shape, &S::query_heads>("query_heads", "", between(1, kMaxSize)),
          key_in<&F::shape, &S::kv_heads>("kv_heads", "", between(1, kMaxSize)),
          key_in<&F::shape, &S::qk_dim>("qk_dim", "", between(1, kMaxSize)),
          key_in<&F::shape, &S::v_dim>("v_dim", "", between(1, kMaxSize)),
          key_in<&F::shape, &S::cache_values_per_token>(
              "cache_values_per_token", "Stored, of all KV heads.", between(1, kMaxTokens)),
          key_in<&F::shape, &S::cache>("attention_precision",
                                       "Of the cache and the products with it.",
                                       models::precision_names()),
      }));
  return table;
}

static const KeyTable& keys_of(const GemmFigure* /*of*/) {
  using F = GemmFigure;
  using S = models::Gemm;
  static const KeyTable table = key_table<F>(
      "", "",
      with_kernels<F>({
          key_in<&F::shape, &S::m>("m", "Rows of [m, k] x [k, n].", between(1, kMaxTokens)),
          key_in<&F::shape, &S::n>("n", "", between(1, kMaxTokens)),
          key_in<&F::shape, &S::k>("k", "", between(1, kMaxTokens)),
          key_in<&F::shape, &S::weights>("precision", "", models::precision_names()),
      }));
  return table;
}

static const KeyTable& keys_of(const GroupedGemmFigure* /*of*/) {
  using F = GroupedGemmFigure;
  static const KeyTable table =
      key_table<F>("", "",
                   with_kernels<F>({
                       key<&F::experts>("experts", "", between(1, kMaxSize)),
                       key<&F::rows_per_expert>("rows_per_expert", "", between(1, kMaxTokens)),
                       key<&F::n>("n", "", between(1, kMaxTokens)),
                       key<&F::k>("k", "", between(1, kMaxTokens)),
                       key<&F::precision>("precision", "", models::precision_names()),
                   }));
  return table;
}

static const KeyTable& keys_of(const ExchangeFigure* /*of*/) {
  using F = ExchangeFigure;
  static const KeyTable table =
      key_table<F>("", "",
                   with_kernels<F>({
                       key<&F::gpus>("gpus", "", between(2, kMaxSize)),
                       key<&F::tokens_per_gpu>("tokens_per_gpu", "", between(1, kMaxSize)),
                       key<&F::top_k>("top_k", "", between(1, 1e4)),
                       key<&F::experts>("experts", "", between(1, kMaxSize)),
                       key<&F::bytes_per_copy>("bytes_per_copy", "Of one token for one expert.",
                                               between(1, kMaxTokens)),
                       key<&F::returning>("returning", "false: dispatch; true: combine."),
                   }));
  return table;
}

static const KeyTable& keys_of(const MessageFigure* /*of*/) {
  using F = MessageFigure;
  static const KeyTable table =
      key_table<F>("", "",
                   {
                       key<&F::bytes>("bytes", "", between(1, 1e15)),
                       key<&F::bandwidth>("bandwidth_GBps", "Of the wire."),
                       key<&F::overhead>("overhead_us", "Of software.", at_least(0)),
                   });
  return table;
}

static const KeyTable& keys_of(const LedgerEntry* /*of*/) {
  using E = LedgerEntry;
  static const KeyTable table = key_table<E>(
      "entry", "A measured figure, and what Ridge is asked.",
      {
          key<&E::figure>("figure", "Its name."),
          key<&E::measured>(
              "measured",
              "In the unit of the quantity; of kernels and messages in microseconds; of "
              "comparisons how many times.",
              positive()),
          key<&E::source>("source", "Who measured it."),
          key<&E::explanation>("explanation", "Why Ridge is off, or is not."),
      },
      cases("kind", "",
            {
                when_member_holds<&E::asks, DeploymentFigure>("simulation",
                                                              "A figure of a deployment."),
                when_member_holds<&E::asks, ComparisonFigure>(
                    "comparison",
                    "How many times the tokens a second and GPU of another deployment one "
                    "delivers."),
                when_member_holds<&E::asks, LayerFigure>(
                    "attention_layer", "An attention layer with the projections around it."),
                when_member_holds<&E::asks, AttentionFigure>("decode_attention",
                                                             "A launch of an attention kernel."),
                when_member_holds<&E::asks, GemmFigure>("gemm", "A dense product."),
                when_member_holds<&E::asks, GroupedGemmFigure>(
                    "grouped_gemm", "A product for each expert, all with as many rows."),
                when_member_holds<&E::asks, ExchangeFigure>(
                    "expert_exchange", "Tokens on their way to experts, or back."),
                when_member_holds<&E::asks, MessageFigure>("message", "A message over a wire."),
            }));
  return table;
}

static const KeyTable& keys_of(const LedgerEntries* /*of*/) {
  static const KeyTable table = key_table<LedgerEntries>(
      "", "",
      {
          key<&LedgerEntries::entries>("entries", "", keys::AtLeastOne{"at least one entry"}),
      });
  return table;
}

static const KeyTable& keys_of(const LedgerServing* /*of*/) {
  static const KeyTable table =
      key_table<LedgerServing>("", "", {key<&LedgerServing::serving>("serving", "")});
  return table;
}

static const KeyTable& keys_of(const LedgerNote* /*of*/) {
  using N = LedgerNote;
  static const KeyTable table =
      key_table<N>("note", "What to know of the figures, as a list under a heading.",
                   {
                       key<&N::heading>("heading", ""),
                       key<&N::points>("points", "", keys::AtLeastOne{"at least one point"}),
                   });
  return table;
}

const KeyTable& keys_of(const LedgerFile* /*of*/) {
  using F = LedgerFile;
  static const KeyTable table =
      key_table<F>(
          "", "Measured figures, and the predictions to set beside them.",
          {
              key_of_all<F>("kind", "", keys::constant("ledger", "a file of kind \"ledger\"")),
              key<&F::title>("title", "The question in a line."),
              key<&F::comment>("comment",
                               "What the figures have in common: the page's introduction."),
              key<&F::notes>("notes", "Behind the tables.").optional(),
          },
          cases("", "",
                {
                    when_member_holds<&F::figures, LedgerEntries>("entries", "Figures."),
                    when_member_holds<&F::figures, LedgerServing>(
                        "serving", "A table of serving measurements."),
                }))
          .file("ledger");
  return table;
}

}  // namespace ridge::evidence
