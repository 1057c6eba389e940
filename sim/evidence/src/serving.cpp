#include "ridge/evidence/serving.hpp"

#include "ledger_parts.hpp"
#include "prefill_share.hpp"
#include "releases.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/models/written_name.hpp"
#include "ridge/scenario/kernel_choice.hpp"
#include "words.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {
namespace {

// Why a line cannot be asked.
struct CannotAsk {
  std::string reason;
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::int64_t whole(const std::optional<double>& number, std::int64_t otherwise = 1) {
  return number ? std::llround(*number) : otherwise;
}

// Reads words of the table as one of Ridge's names.
std::optional<std::string> named_as_written(const std::map<std::string, std::string>& terms,
                                            const std::vector<std::string>& known,
                                            std::string_view words) {
  const std::string name = hyphened(words);
  for (const auto& [written, meant] : terms) {
    if (hyphened(written) == name) return meant;
  }
  if (std::find(known.begin(), known.end(), name) != known.end()) return name;
  return std::nullopt;
}

std::optional<std::string> model_named(const std::map<std::string, std::string>& terms,
                                       std::string_view words) {
  const std::vector<std::string> known = models::model_names();
  for (const std::string& name : models::written_names(words)) {
    if (auto found = named_as_written(terms, known, name)) return found;
  }
  return std::nullopt;
}

// ---- formats of numbers -------------------------------------------------------------------------

void set_weights(models::ModelSpec& model, const ServingWeights& formats) {
  const ServingWeights::Kept attention = formats.of(WeightPart::attention);
  model.precisions.weights = attention.weights.precision;
  model.precisions.weight_scales = attention.weights.scales;
  model.precisions.compute = attention.compute;
  for (models::AttentionBlock& block : model.attentions) block.weights = {};
  for (models::FfnBlock& block : model.ffns) {
    auto* moe = std::get_if<models::MoeFfn>(&block.kind);
    const ServingWeights::Kept kept =
        formats.of(moe == nullptr ? WeightPart::dense : WeightPart::routed);
    block.weights = kept.weights.precision;
    block.weight_scales = kept.weights.scales;
    block.compute = kept.compute;
    block.own_weights = kept.weights;
    block.own_compute = kept.compute;
    if (moe != nullptr && moe->shared_intermediate > 0) {
      moe->shared_weights = formats.of(WeightPart::shared).weights;
    }
  }
}

// Of attention, output projections alone.
void set_outputs(models::ModelSpec& model, const ServingWeights::Kept& outputs) {
  for (models::AttentionBlock& block : model.attentions) {
    models::Unquantized others{.projections = {}, .precision = model.precisions.compute};
    for (const auto& each : models::projection_names()) {
      if (each.value != models::Projection::output) others.projections.push_back(each.value);
    }
    block.unquantized = std::move(others);
    block.weights = outputs.weights;
  }
  model.precisions.compute = outputs.compute;
}

bool fits_model(const ServingWeights& formats, const std::vector<std::string>& written) {
  return formats.models.empty() ||
         std::any_of(formats.models.begin(), formats.models.end(), [&](const std::string& model) {
           return std::find(written.begin(), written.end(), hyphened(model)) != written.end();
         });
}

// What a cell may mean.
std::vector<const ServingWeights*> mentioned_in(std::string_view cell,
                                                const std::vector<const ServingWeights*>& known) {
  std::vector<const std::vector<std::string>*> names;
  for (const ServingWeights* each : known) names.push_back(&each->names);
  std::vector<const ServingWeights*> found;
  for (const std::size_t i : mentioned(names, cell)) found.push_back(known[i]);
  return found;
}

// Whether a checkpoint in one of them has what the other speaks of: the rest in BF16.
bool has_rest_of(const ServingWeights& formats, const ServingWeights& rest) {
  const auto plain = [](const ServingWeights::Kept& kept) {
    return kept.weights == models::WeightFormat{} && kept.compute == models::Precision::bf16;
  };
  constexpr std::array kAll = {WeightPart::attention, WeightPart::dense, WeightPart::shared,
                               WeightPart::routed};
  return std::all_of(kAll.begin(), kAll.end(),
                     [&](WeightPart part) { return plain(rest.of(part)); }) &&
         std::any_of(kAll.begin(), kAll.end(),
                     [&](WeightPart part) { return plain(formats.of(part)); });
}

// ---- the question -------------------------------------------------------------------------------

constexpr std::string_view kTimePerToken = "tpot_ms";  // of the figures of a simulation

struct Question {
  LedgerRow row;
  // With fewer and with more requests, where their mean number is not whole.
  std::vector<scenario::LocatedScenario> scenarios;
  double upper_share = 0.0;   // of the second
  std::string_view figure;    // of a simulation
  scenario::OpenInputs open;  // that the line does not tell
  // While others join its group, for each token that a request gets: steps that it sits out, and
  // what it waits for where no step is run.
  double sat_out = 0.0;
  double waited_ms = 0.0;
  // Prompts of others that a request waits for in its life, and how they are worked on.
  double prompts = 0.0;
  double answer_tokens = 1.0;
  Prefill prefill;
  std::vector<Releases> none_of;  // asked as one that is not among them: the line does not tell
  std::string weights_from;       // where the format of weights is taken from, if not its column
};

// Words on engines, however their releases hang on them: "SGLang:v0.5.8" is "sglang 0.5.8".
std::string plain(std::string_view words) {
  std::string out;
  const std::string small = lowercase(words);
  for (std::size_t i = 0; i < small.size(); ++i) {
    const bool digit_next = i + 1 < small.size() && small[i + 1] >= '0' && small[i + 1] <= '9';
    if (small[i] == 'v' && digit_next && (out.empty() || out.back() == ' ')) continue;
    const bool hangs = small[i] == '-' || small[i] == '_' || small[i] == ':';
    out.push_back(hangs ? ' ' : small[i]);
  }
  return out;
}

// Where a line names its engine: behind that word, if it stands there.
std::vector<std::string> engine_words(const ServingRow& row) {
  if (row.engine_column) return {plain(row.engine)};
  std::string source = plain(row.source);
  constexpr std::string_view kEngine = "engine ";
  const std::size_t at = source.rfind(kEngine);
  std::string named = at == std::string::npos ? "" : source.substr(at + kEngine.size());
  return {std::move(named), std::move(source), plain(row.cautions)};
}

const ServingEngine* engine_of(const ServingRow& row, const ServingTerms& terms) {
  for (const std::string& words : engine_words(row)) {
    for (const ServingEngine& engine : terms.engines) {
      for (const std::string& name : engine.names) {
        if (has(words, plain(name))) return &engine;
      }
    }
  }
  return nullptr;
}

// Whether its source or its engine has any of these parts, in letters of any case.
bool is_of(const ServingRow& row, const std::vector<std::string>& lines) {
  const std::string source = lowercase(row.source);
  const std::string engine = lowercase(row.engine);
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
    const std::string part = lowercase(line);
    return has(source, part) || has(engine, part);
  });
}

enum class Among : std::uint8_t { no, yes, not_told };

// Whether its engine is one of these releases.
Among among(const ServingRow& row, const ServingEngine* engine,
            const std::vector<Releases>& releases) {
  Among answer = Among::no;
  for (const Releases& each : releases) {
    if (engine == nullptr || engine->title != each.engine) continue;
    if (each.from.empty() && each.until.empty()) return Among::yes;
    std::optional<std::vector<int>> release;
    for (const std::string& words : engine_words(row)) {
      for (const std::string& name : engine->names) {
        if (!release) release = release_in(words, plain(name));
      }
    }
    if (release && holds(each, *release)) return Among::yes;
    if (!release) answer = Among::not_told;
  }
  return answer;
}

// "SGLang until 0.5.9"
std::string in_words(const std::vector<Releases>& releases) {
  std::vector<std::string> words;
  for (const Releases& each : releases) {
    std::string text = each.engine;
    if (each.from == each.until && !each.from.empty()) {
      text += " " + each.from;
    } else {
      if (!each.from.empty()) text += " from " + each.from;
      if (!each.until.empty()) text += " until " + each.until;
    }
    words.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

// Whether the GPUs that decode work on prompts too.
std::variant<bool, CannotAsk> shares_with_prefill(const ServingRow& row,
                                                  const ServingTerms& terms) {
  const std::string words = hyphened(row.strategy);
  if (has(words, "afd")) {
    return CannotAsk{"how attention and FFN share its chips is not among the columns"};
  }
  if (has(words, "pipeline")) return CannotAsk{"pipeline parallelism is not among the columns"};
  if (words.empty()) return false;
  const auto told = mentioned(
      {&terms.strategies.prefill_elsewhere, &terms.strategies.prefill_on_the_same}, row.strategy);
  if (told.size() == 1) return told.front() == 1;
  if (told.empty()) {
    // "TP" and no more is an engine on one node that does both, as is one that says it.
    const std::vector<std::string> said = words_of(row.strategy);
    if (words == "tp" || mentions(said, "single node") || mentions(said, "single gpu")) return true;
    // Words on the cut ("TP16, 2 nodes", "wide EP") say nothing of prompts.
    for (const char* cut : {"tp", "dp", "ep", "tep", "dep", "wide-ep", "large-ep", "large-scale-ep",
                            "tensor-parallel", "data-parallel", "expert-parallel"}) {
      if (words.starts_with(cut)) return false;
    }
  }
  return CannotAsk{fmt::format("the strategy \"{}\" is not known", row.strategy)};
}

// How a worker lies on its nodes.
struct Layout {
  bool one_group = false;  // tensor parallelism alone
  bool over_nodes = false;
  bool large_domain = false;  // a node is an NVLink domain of more GPUs than a host has
  [[nodiscard]] bool wide() const { return over_nodes && !one_group; }
  // Whether recipes name a library for the exchange of data-parallel attention.
  [[nodiscard]] bool by_library() const { return wide() || (large_domain && !one_group); }
  [[nodiscard]] std::string_view kind(bool shares) const {
    if (over_nodes) return one_group ? "tensor parallel over nodes" : "wide EP";
    return shares ? "one node, with prefill" : "one node";
  }
};

constexpr std::int64_t kGpusOfAHost = 8;

class Asker {
 public:
  Asker(const std::string& file, const ServingTerms& terms, scenario::Library& library)
      : file_(file), terms_(terms), library_(library) {}

  [[nodiscard]] std::variant<Question, CannotAsk> ask(ServingRow row) const {
    const bool context_from_lengths = !row.mean_context && row.isl && row.osl;
    if (context_from_lengths) row.mean_context = *row.isl + 0.5 * *row.osl;
    const auto strategy = shares_with_prefill(row, terms_);
    if (const auto* problem = std::get_if<CannotAsk>(&strategy)) return *problem;
    const bool shares = std::get<bool>(strategy);
    Question question;
    scenario::Scenario scenario;
    scenario.title = row.id;
    const auto formats = weights(row, question);
    if (const auto* problem = std::get_if<CannotAsk>(&formats)) return *problem;
    const ServingWeights& kept = *std::get<const ServingWeights*>(formats);
    if (auto problem = model(row, kept, scenario)) return *problem;
    if (auto problem = deployment(row, scenario)) return *problem;
    if (auto problem = metric(row, question)) return *problem;
    const ServingEngine* engine = engine_of(row, terms_);
    question.open.step_overhead = engine == nullptr || !engine->profiled;
    if (engine != nullptr) {
      question.open.engine = engine->title;
      scenario.deployment.step_overhead = engine->step_overhead;
      if (scenario.deployment.micro_batches > 1) scenario.deployment.schedule = engine->two_batches;
    }
    if (auto problem = kernels(row, scenario)) return *problem;
    scenario::Pool& gpus = std::get<scenario::WholePool>(scenario.deployment.pools).gpus;
    const auto node = library_.chip(gpus.chip.name)->chips_per_server.value;
    if (!node) return CannotAsk{fmt::format("how many {} a server holds is not known", row.chip)};
    const Layout layout{.one_group = gpus.attention_tensor_parallel == gpus.gpus_per_instance,
                        .over_nodes = gpus.gpus_per_instance > *node,
                        .large_domain = *node > kGpusOfAHost};
    if (layout.over_nodes && !layout.one_group && gpus.ffn_tensor_parallel > 1) {
      return CannotAsk{"data-parallel attention beside FFNs that are sliced over several nodes"};
    }
    for (const ServingTerms::KernelsByLine& named : terms_.kernels_by_line) {
      if (is_of(row, named.lines)) prefer(named.kernels, gpus);
    }
    if (engine != nullptr) {
      const auto& over_nodes = engine->execution_over_nodes;
      scenario.deployment.execution = layout.wide() && over_nodes ? *over_nodes : engine->execution;
    }
    norm_in_all_reduce(row, engine, gpus, scenario.deployment.execution, question);
    if (engine != nullptr) {
      if (layout.by_library()) prefer(engine->kernels_by_library, gpus);
      prefer(engine->kernels, gpus);
    }
    if (layout.one_group && layout.over_nodes) {
      if (engine != nullptr) question.open.gap_before_sums = engine->gap_before_sums_over_nodes;
      time_sums(row, *node, scenario, question);
      if (engine != nullptr && engine->step_overhead_over_nodes) {
        scenario.deployment.step_overhead = *engine->step_overhead_over_nodes;
        question.open.step_overhead = false;
      }
    }
    if (terms_.drafts_without_overlap && whole(row.drafts, 0) > 0 &&
        is_of(row, terms_.drafts_without_overlap->lines)) {
      scenario.deployment.step_overhead = terms_.drafts_without_overlap->step_overhead;
      question.open.step_overhead = false;
    }
    if (const auto nic = library_.chip(gpus.chip.name)->nic_bandwidth.value; layout.wide() && nic) {
      gpus.nic_bandwidth = terms_.exchange_nics.share * *nic;
      question.open.exchange_nics = true;
    }
    if (engine != nullptr && scenario.deployment.strategy == "wide_expert_parallel" &&
        !layout.by_library() && !terms_.gathers_as_all_to_all) {
      scenario.deployment.exchange = engine->exchange_within_node;
    }
    scenario.deployment.execution.captured_batches = captured(row, engine);
    if (const auto routed = kept.of(WeightPart::routed);
        engine != nullptr && routed.weights.precision == models::Precision::fp4 &&
        routed.compute == models::Precision::bf16) {
      scenario.deployment.execution.routing = engine->routing_in_mxfp4;
    }
    scenario.deployment.execution.exchanges_by_nics =
        layout.wide() && is_of(row, terms_.exchanges_by_nics.lines);
    if (engine == nullptr || !engine->even_routing) {
      popular_experts(row, layout, scenario, question.open);
    }
    if (auto problem = cache(row, scenario)) return *problem;
    if (auto problem = requests(row, scenario, question)) return *problem;
    if (!shares) joins(row, engine, scenario, question);

    LedgerGroup& group = question.row.group;
    group.model = scenario.model.spec->title;
    group.chip = gpus.chip.name;
    group.engine = engine == nullptr ? "other" : engine->title;
    group.kind = layout.kind(shares);
    if (shares) {
      if (!layout.one_group) {
        return CannotAsk{"prefill on the same GPUs under data-parallel attention"};
      }
      if (auto problem = prompts(row, engine, gpus, question)) return *problem;
    }
    question.row.figure = figure_words(row, gpus);
    question.row.source = row.source;
    question.row.id = row.id;
    question.row.note = row.cautions;
    const auto note = [&](const std::string& text) {
      if (!question.row.note.empty()) question.row.note += "; ";
      question.row.note += text;
      question.row.assumed.push_back(text);
    };
    if (context_from_lengths) {
      note(fmt::format("the context is not stated: taken as a prompt and half an answer, {:.0f}",
                       *row.mean_context));
    }
    if (gathers(scenario.deployment.exchange) && terms_.gathers_as_all_to_all) {
      note(
          "gathers take what they take by themselves; steps of engines that gather were seen to "
          "take longer");
    }
    if (!question.none_of.empty()) {
      note(fmt::format("the engine's release is not told: asked as none of {}",
                       in_words(question.none_of)));
    }
    if (!question.weights_from.empty()) {
      note(fmt::format("the precision of the weights is not stated: taken from {}",
                       question.weights_from));
    }
    if (const std::string what = not_measured(*scenario.model.spec, gpus); !what.empty()) {
      note(fmt::format("{}: {} has no such curve, and another format's stands in", what,
                       gpus.kernel_model));
    }
    return question;
  }

 private:
  // Of FFNs: which products the calibration has curves of in other formats alone.
  [[nodiscard]] std::string not_measured(const models::ModelSpec& model,
                                         const scenario::Pool& gpus) const {
    const scenario::KernelChoice choice{gpus.kernel_model, gpus.prefer_kernels};
    const auto kernels = library_.kernels(choice, *library_.chip(gpus.chip.name), file_);
    std::vector<std::string> out;
    const auto look = [&](const models::Operator& op, std::string_view what,
                          models::Precision weights, models::Precision compute) {
      const hw::Basis basis = kernels->basis(op);
      if (basis != hw::Basis::stand_in && basis != hw::Basis::no_curve) return;
      std::string words = fmt::format("{} in {}", what, models::name_of(weights));
      if (compute != weights) words += fmt::format(" times {}", models::name_of(compute));
      if (std::find(out.begin(), out.end(), words) == out.end()) out.push_back(std::move(words));
    };
    constexpr double kTokens = 8.0;
    for (const models::FfnBlock& block : model.ffns) {
      models::OperatorList operators;
      models::ffn_operators(block, model.precisions, model.hidden, kTokens,
                            {.tensor_parallel = gpus.ffn_tensor_parallel,
                             .expert_parallel = gpus.ffn_expert_parallel},
                            operators);
      for (const models::Operator& op : operators) {
        if (const auto* gemm = std::get_if<models::Gemm>(&op.shape)) {
          look(op, "dense products", gemm->weights, gemm->compute);
        } else if (const auto* grouped = std::get_if<models::GroupedGemm>(&op.shape)) {
          look(op, "experts", grouped->weights, grouped->compute);
        }
      }
    }
    return fmt::format("{}", fmt::join(out, ", "));
  }

  [[nodiscard]] std::vector<std::int64_t> captured(const ServingRow& row,
                                                   const ServingEngine* engine) const {
    const std::vector<std::string>& exact = terms_.captured.as_measured;
    if (std::find(exact.begin(), exact.end(), row.source) != exact.end()) return {};
    const bool drafts = engine != nullptr && whole(row.drafts, 0) > 0;
    return drafts && !engine->captured_with_drafts.empty() ? engine->captured_with_drafts
                                                           : terms_.captured.batches;
  }

  // As the table says, else as the name of the checkpoint does, else as the model ships.
  std::variant<const ServingWeights*, CannotAsk> weights(const ServingRow& row,
                                                         Question& question) const {
    const std::vector<std::string> written = models::written_names(row.model);
    std::vector<const ServingWeights*> known;
    for (const ServingWeights& formats : terms_.weights) {
      if (fits_model(formats, written)) known.push_back(&formats);
    }
    std::vector<const ServingWeights*> found = mentioned_in(row.weight_precision, known);
    if (row.weight_precision.empty()) {
      found = mentioned_in(row.model, known);
      question.weights_from = "the model's name";
      if (found.empty()) {
        std::copy_if(known.begin(), known.end(), std::back_inserter(found),
                     [](const ServingWeights* formats) { return formats->shipped; });
        question.weights_from = "what the model ships in";
      }
    }
    if (found.size() == 2 && has_rest_of(*found[0], *found[1])) found.pop_back();
    if (found.size() == 2 && has_rest_of(*found[1], *found[0])) found.erase(found.begin());
    if (found.size() == 1) return found.front();
    if (row.weight_precision.empty()) {
      return CannotAsk{"the precision of the weights is not stated"};
    }
    return CannotAsk{fmt::format("weights of \"{}\" are not known", row.weight_precision)};
  }

  std::optional<CannotAsk> model(const ServingRow& row, const ServingWeights& kept,
                                 scenario::Scenario& out) const {
    const auto name = model_named(terms_.models, row.model);
    if (!name) return CannotAsk{fmt::format("the model {} does not ship", row.model)};
    out.model.spec = *library_.model(*name);
    for (models::AttentionBlock& block : out.model.spec->attentions) {
      auto* heads = std::get_if<models::GroupedQueryAttention>(&block.kind);
      if (heads != nullptr && !terms_.sums_of_squares) heads->norm_over_heads = false;
    }
    set_weights(*out.model.spec, kept);
    const auto& outputs = terms_.four_bit_outputs;
    const ServingWeights::Kept four_bits = kept.of(WeightPart::dense);
    if (outputs && four_bits.compute == models::Precision::fp4 && is_of(row, outputs->lines)) {
      set_outputs(*out.model.spec, four_bits);
    }
    return std::nullopt;
  }

  std::optional<CannotAsk> deployment(const ServingRow& row, scenario::Scenario& out) const {
    if (!row.attention_tp) return CannotAsk{"how attention is split is not stated"};
    scenario::Pool gpus;
    const std::int64_t tp = whole(row.attention_tp);
    const std::int64_t dp = whole(row.attention_dp);
    gpus.gpus_per_instance = tp * dp;
    if (row.gpus && gpus.gpus_per_instance > whole(row.gpus)) {
      return CannotAsk{"attention is cut for more ranks than there are GPUs"};
    }
    gpus.attention_tensor_parallel = tp;
    const auto* moe = first_moe(*out.model.spec);
    // A dense FFN, or one whose cut is not told, is sliced as the attention is.
    const bool told = row.moe_tp || row.moe_ep;
    gpus.ffn_expert_parallel = moe == nullptr ? 1 : told ? whole(row.moe_ep) : dp;
    gpus.ffn_tensor_parallel = gpus.gpus_per_instance / gpus.ffn_expert_parallel;
    if (gpus.ffn_tensor_parallel * gpus.ffn_expert_parallel != gpus.gpus_per_instance ||
        (moe != nullptr && row.moe_tp && whole(row.moe_tp) != gpus.ffn_tensor_parallel)) {
      return CannotAsk{"attention and experts are cut for different numbers of GPUs"};
    }
    scenario::Deployment& d = out.deployment;
    if (dp == 1) {
      d.strategy = "tensor_parallel";
    } else if (moe != nullptr) {
      d.strategy = "wide_expert_parallel";
      gpus.redundant_experts = redundant(row, *moe, gpus.ffn_expert_parallel);
      if (gpus.ffn_tensor_parallel > 1) d.exchange = decode::ExchangeWay::gather_scatter;
    } else {
      return CannotAsk{"data-parallel attention of a model without experts"};
    }
    d.micro_batches = row.overlap == "yes" ? 2 : 1;
    d.collectives = decode::CollectiveTiming::kernel_model;
    out.network.wire.source = out.scale_up.wire.source = "";  // measured collectives are no wires
    out.measurement = scenario::MeasuredSteps{.warmup = 2, .steps = 4};
    if (const std::int64_t drafts = whole(row.drafts, 0); drafts > 0) {
      if (out.model.spec->mtp.modules == 0) return CannotAsk{"drafts by a model without a module"};
      if (!row.acceptance) return CannotAsk{"drafts whose acceptance is not stated"};
      d.drafting = scenario::Drafting{.tokens = drafts, .acceptance = *row.acceptance};
    }
    d.pools = scenario::WholePool{std::move(gpus)};
    return std::nullopt;
  }

  static const models::MoeFfn* first_moe(const models::ModelSpec& model) {
    for (const models::FfnBlock& block : model.ffns) {
      if (const auto* moe = std::get_if<models::MoeFfn>(&block.kind)) return moe;
    }
    return nullptr;
  }

  // As stated, or as few as let the ranks hold equally many.
  static std::int64_t redundant(const ServingRow& row, const models::MoeFfn& moe,
                                std::int64_t ranks) {
    if (row.redundant_experts) return whole(row.redundant_experts);
    return (ranks - moe.experts % ranks) % ranks;
  }

  // What is asked, and what was measured of it in the unit that it is told in.
  static std::optional<CannotAsk> metric(const ServingRow& row, Question& out) {
    const CannotAsk unknown{fmt::format("the metric \"{}\" in {}", row.metric, row.unit)};
    const std::vector<std::string> words = words_of(row.metric);
    const auto says = [&](const char* name) { return mentions(words, name); };
    if (std::any_of(words.begin(), words.end(), is_percentile)) {
      return CannotAsk{
          fmt::format("the metric \"{}\": of requests their mean alone is predicted", row.metric)};
    }
    const bool between = says("itl") || says("inter token latency") || says("time between tokens");
    if (says("tpot") || says("time per output token") || between) {
      if (between && whole(row.drafts, 0) > 0) {
        return CannotAsk{"time between tokens of which several come at once"};
      }
      const std::vector<std::string> unit = words_of(row.unit);
      const std::string_view time = unit.empty() ? std::string_view() : unit.front();
      const bool ms = time == "ms" || time == "milliseconds";
      const bool s = time == "s" || time == "seconds";
      const bool each =
          unit.size() > 1 && (unit[1] == "token" || unit[1] == "tok" || unit[1] == "per");
      if ((!ms && !s) || (unit.size() > 1 && !each)) return unknown;
      out.figure = kTimePerToken;
      out.row.measured = ms ? row.value : 1e3 * row.value;
      return std::nullopt;
    }
    const std::optional<std::string> whose = whose_tokens(row.unit);
    if (!whose || says("node") || says("server") || says("instance")) return unknown;
    if (says("input") || says("prefill") || (says("total") && !says("output"))) {
      return CannotAsk{"throughput that counts the tokens of prompts"};
    }
    const bool of_all = whose->empty();
    if (*whose == "gpu" && (says("user") || says("request"))) return unknown;
    if (*whose == "user" || (of_all && (says("user") || says("request")))) {
      out.figure = kTimePerToken;
      out.row.measured = 1e3 / row.value;
    } else {
      if (of_all && !row.gpus) return unknown;
      out.figure = "tokens_per_s_per_gpu";
      out.row.measured = row.value / (of_all ? *row.gpus : 1.0);
    }
    return std::nullopt;
  }

  // "p99"; the median stands for the mean.
  static bool is_percentile(const std::string& word) {
    constexpr std::array<std::string_view, 9> kOthers = {
        "percentile", "percentiles", "max", "maximum", "min", "minimum", "tail", "worst", "best"};
    const bool ordinal = word.ends_with("th") && is_number(word.substr(0, word.size() - 2));
    return (word.front() == 'p' && word != "p50" && is_number(word.substr(1))) || ordinal ||
           std::find(kOthers.begin(), kOthers.end(), word) != kOthers.end();
  }

  // Of a unit of tokens a second: "user", "gpu", empty for those of all.
  static std::optional<std::string> whose_tokens(std::string_view unit) {
    std::vector<std::string> words = words_of(unit);
    const bool each_second = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return word == "s" || word == "sec" || word == "second" || word == "tps";
    });
    if (!each_second) return std::nullopt;
    std::erase_if(words, [](const std::string& word) {
      return word == "output" || word == "per" || word == "s" || word == "sec" ||
             word == "second" || word == "1";
    });
    const auto among = [](const std::string& word, std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), word) != names.end();
    };
    if (words.empty() || words.size() > 2) return std::nullopt;
    if (!among(words.front(), {"tokens", "token", "tok", "toks", "tps"})) return std::nullopt;
    if (words.size() == 1) return "";
    if (among(words.back(), {"user", "request"})) return "user";
    if (among(words.back(), {"gpu", "chip", "npu", "device"})) return "gpu";
    return std::nullopt;
  }

  // "8x": how many there are has a column.
  static bool is_count(const std::string& word) {
    return word.ends_with('x') && is_number(word.substr(0, word.size() - 1));
  }

  // As Ridge calls it, also with words on its package, its machine or its memory, which must be
  // the chip's.
  [[nodiscard]] std::optional<std::string> chip_named(std::string_view written) const {
    const std::vector<std::string> known = hw::chip_names();
    if (auto found = named_as_written(terms_.chips, known, written)) return found;
    std::string name;
    std::optional<double> gigabytes;
    for (const std::string& word : words_of(written)) {
      const auto& free = terms_.chip_words;
      if (std::find(free.begin(), free.end(), word) != free.end() || is_count(word)) continue;
      if (word.ends_with("gb") && is_number(word.substr(0, word.size() - 2))) {
        gigabytes = std::stod(word);
        continue;
      }
      name += (name.empty() ? "" : "-") + word;
    }
    auto found = named_as_written(terms_.chips, known, name);
    if (!found || !gigabytes) return found;
    const auto memory = library_.chip(*found)->memory.value;
    // Sellers count in GB or in GiB, and some leave a part out (180 and 192 GB of one chip).
    constexpr double kAlike = 0.07;
    const auto same = [&](double unit) {
      return memory && std::abs(unit * *gigabytes / memory->value() - 1.0) <= kAlike;
    };
    return same(1e9) || same(1024.0 * 1024.0 * 1024.0) ? found : std::nullopt;
  }

  std::optional<CannotAsk> kernels(const ServingRow& row, scenario::Scenario& out) const {
    scenario::Pool& gpus = std::get<scenario::WholePool>(out.deployment.pools).gpus;
    const auto chip = chip_named(row.chip);
    if (!chip) return CannotAsk{fmt::format("the chip {} does not ship", row.chip)};
    gpus.chip.name = *chip;
    const auto stated = terms_.calibrations.find(*chip);
    const std::string name = stated == terms_.calibrations.end() ? *chip : stated->second;
    const auto calibrations = hw::calibrated::calibration_names();
    if (std::find(calibrations.begin(), calibrations.end(), name) == calibrations.end()) {
      return CannotAsk{fmt::format("no kernel was measured on {} or a chip like it", row.chip)};
    }
    gpus.kernel_model = "calibrated:" + name;
    return std::nullopt;
  }

  // Those kernels of an engine that the calibration knows.
  void prefer(const std::vector<std::string>& kernels, scenario::Pool& out) const {
    for (const std::string& kernel : kernels) {
      scenario::KernelChoice choice{out.kernel_model, {kernel}};
      try {
        (void)library_.kernels(choice, *library_.chip(out.chip.name), file_);
        out.prefer_kernels.push_back(kernel);
      } catch (const UserError&) {  // measured on other chips alone
      }
    }
  }

  // Copies are made by a balancer of the experts' load, and one comes with expert parallelism over
  // nodes.
  void popular_experts(const ServingRow& row, const Layout& layout, scenario::Scenario& out,
                       scenario::OpenInputs& open) const {
    const auto* moe = first_moe(*out.model.spec);
    if (moe == nullptr) return;
    open.experts = true;
    scenario::PowerLawExperts experts{.exponent = terms_.expert_popularity.exponent};
    if (layout.wide() || row.redundant_experts.value_or(0.0) > 0.0) {
      experts.balancer_error = terms_.balancer.error;
      open.balancer = true;
      scenario::Pool& gpus = std::get<scenario::WholePool>(out.deployment.pools).gpus;
      if (!row.redundant_experts) {
        const std::int64_t ranks = gpus.ffn_expert_parallel;
        const std::int64_t held = (moe->experts + terms_.balancer.copies + ranks - 1) / ranks;
        gpus.redundant_experts = held * ranks - moe->experts;
      }
    }
    out.noise.experts = experts;
  }

  void norm_in_all_reduce(const ServingRow& row, const ServingEngine* engine, scenario::Pool& gpus,
                          decode::Execution& how, Question& question) const {
    const auto on_this = [&](const std::vector<std::string>& chips) {
      return std::find(chips.begin(), chips.end(), gpus.chip.name) != chips.end();
    };
    const bool sums = gpus.attention_tensor_parallel > 1;
    if (!sums || !how.all_reduce_with_norm) return;
    const auto& apart = terms_.norms_apart;
    if (apart && on_this(apart->chips)) {
      const Among these = among(row, engine, apart->releases);
      if (these == Among::yes) {
        how.all_reduce_with_norm = false;
        return prefer(apart->kernels, gpus);
      }
      if (these == Among::not_told) release_not_told(apart->releases, question);
    }
    for (const ServingTerms::Norm& norm : terms_.norm_in_all_reduce) {
      if (!on_this(norm.chips)) continue;
      how.norm_in_all_reduce = norm.added;
      prefer(norm.kernels, gpus);
    }
  }

  // What depends on the release is asked as of one that does not do it.
  static void release_not_told(const std::vector<Releases>& releases, Question& question) {
    question.none_of.insert(question.none_of.end(), releases.begin(), releases.end());
  }

  // Over several nodes: calibrations have no collective over them.
  void time_sums(const ServingRow& row, std::int64_t node, scenario::Scenario& out,
                 Question& question) const {
    out.deployment.collectives = decode::CollectiveTiming::links;
    // That kernel reaches the GPUs of one node.
    out.deployment.execution.all_reduce_with_norm = false;
    out.deployment.execution.norm_in_all_reduce = {};
    const auto gpus = std::get<scenario::WholePool>(out.deployment.pools).gpus.gpus_per_instance;
    const auto ranges = library_.ranges();
    const auto* sums = terms_.measured_sums ? ranges->sums_over(gpus, node) : nullptr;
    if (sums != nullptr) {
      question.open.clusters = clusters_of(row, *sums);
      const scenario::SumsCluster cluster = terms_.median_cluster
                                                ? scenario::median_of(question.open.clusters)
                                                : question.open.clusters.front();
      out.network.all_reduce = scenario::sums_of(cluster, question.open.gap_before_sums);
      out.network.wire.source = out.scale_up.wire.source = cluster.source;
      return;
    }
    const auto told = [](const net::Transport& terms) {
      return scenario::Wire{
          .overhead = terms.overhead, .efficiency = terms.efficiency, .source = terms.source};
    };
    out.scale_up.wire = told(terms_.within_node);
    out.network.wire = told(terms_.between_nodes);
  }

  // Those with the fabric that a line names, or all.
  static std::vector<scenario::SumsCluster> clusters_of(const ServingRow& row,
                                                        const scenario::SumsSpan& sums) {
    const std::string words = lowercase(row.strategy + " " + row.source + " " + row.cautions);
    std::vector<scenario::SumsCluster> named;
    std::copy_if(sums.clusters.begin(), sums.clusters.end(), std::back_inserter(named),
                 [&](const auto& cluster) { return has(words, lowercase(cluster.fabric)); });
    return named.empty() ? sums.clusters : named;
  }

  // Of others, on the GPUs that decode. The table counts the requests of all workers, and a request
  // waits for the prompts of its own.
  std::optional<CannotAsk> prompts(const ServingRow& row, const ServingEngine* engine,
                                   const scenario::Pool& gpus, Question& out) const {
    if (out.figure != kTimePerToken) return CannotAsk{"throughput with prefill on the same GPUs"};
    if (!row.isl || !row.osl || !row.concurrency || !row.gpus) {
      return CannotAsk{
          "prefill on the same GPUs, of unstated length, concurrency or number of GPUs"};
    }
    const double requests =
        *row.concurrency * static_cast<double>(gpus.gpus_per_instance) / *row.gpus;
    if (terms_.prompts) out.prompts = std::max(0.0, requests - 1.0);
    out.answer_tokens = *row.osl;
    out.prefill = {.tokens = *row.isl,
                   .decoding = requests,
                   .mixed = engine != nullptr && engine->mixes_prefill};
    return std::nullopt;
  }

  // The cache's format as the line or its recipe states it; else BF16, and FP8 where that does not
  // fit.
  std::optional<CannotAsk> cache(const ServingRow& row, scenario::Scenario& out) const {
    if (!row.mean_context) return CannotAsk{"the context is not stated"};
    if (!row.requests_per_gpu && !(row.concurrency && row.gpus)) {
      return CannotAsk{"the batch is not stated"};
    }
    using models::Precision;
    std::vector<Precision> tried;
    const auto& recipes = terms_.eight_bit_caches;
    if (row.kv_precision.empty()) {
      tried = {Precision::bf16, Precision::fp8};
      if (recipes && is_of(row, recipes->lines)) tried = {Precision::fp8};
    } else {
      const std::vector<std::string> words = words_of(row.kv_precision);
      for (const auto& [written, precision] : terms_.caches) {
        if (words_of(written) == words) tried = {precision};
      }
      if (tried.empty()) {
        return CannotAsk{fmt::format("a cache of \"{}\" is not known", row.kv_precision)};
      }
    }
    for (const Precision precision : tried) {
      out.deployment.attention_precision =
          scenario::AttentionPrecision{.cache = precision, .compute = precision};
      if (fits(row, out)) return std::nullopt;
    }
    return CannotAsk{"by Ridge's count the batch does not fit in memory"};
  }

  [[nodiscard]] bool fits(const ServingRow& row, const scenario::Scenario& scenario) const {
    scenario::Scenario asked = scenario;
    asked.workload = closed_loop(row, std::max<std::int64_t>(1, std::llround(mean_requests(row))));
    const auto resolved = scenario::resolve({file_, {}, std::move(asked)}, library_);
    const decode::Deployment& d = resolved.input.deployment;
    const auto plan = decode::plan_memory(d, resolved.input.admission);
    if (!plan.problems.empty()) return false;
    const double group = std::ceil(mean_requests(row) / static_cast<double>(d.groups()));
    const Bytes each =
        decode::request_kv_bytes(d, resolved.input.admission, std::llround(*row.mean_context));
    return group * each <= plan.pools[d.index_of(decode::Role::attention)].kv_budget;
  }

  // Of a worker.
  static double mean_requests(const ServingRow& row) {
    const double worker = static_cast<double>(whole(row.attention_tp) * whole(row.attention_dp));
    const double each = row.requests_per_gpu ? *row.requests_per_gpu : *row.concurrency / *row.gpus;
    return each * worker;
  }

  // Contexts lie evenly around their mean, up to a whole prompt and a whole answer: the longest of
  // all, on average, since groups wait for each other.
  static std::optional<std::int64_t> longest_context(const ServingRow& row) {
    if (!row.isl || !row.osl) return std::nullopt;
    const double mean = *row.mean_context;
    const double most = *row.isl + *row.osl;
    if (most <= mean) return std::nullopt;
    const double all = std::max(1.0, mean_requests(row));
    return std::llround(std::max(mean, most - 2.0 * (most - mean) / (all + 1.0)));
  }

  static scenario::ClosedLoop closed_loop(const ServingRow& row, std::int64_t requests) {
    scenario::ClosedLoop loop;
    loop.requests = requests;
    loop.steady = true;
    loop.context = scenario::FixedLength{*row.mean_context};
    loop.longest_context = longest_context(row);
    return loop;
  }

  std::optional<CannotAsk> requests(const ServingRow& row, const scenario::Scenario& scenario,
                                    Question& out) const {
    const double mean = std::max(1.0, mean_requests(row));
    // A hundredth of a request is what rounding in the table leaves.
    constexpr double kRounding = 0.01;
    double fewer = std::floor(mean + kRounding);
    out.upper_share = std::max(0.0, mean - fewer);
    if (out.upper_share < kRounding) out.upper_share = 0.0;
    // Over many groups a whole number is near enough.
    if (scenario.deployment.strategy != "tensor_parallel") {
      fewer = std::round(mean);
      out.upper_share = 0.0;
    }
    const int questions = out.upper_share > 0.0 ? 2 : 1;
    for (int more = 0; more < questions; ++more) {
      scenario::LocatedScenario& located =
          out.scenarios.emplace_back(file_, std::string(), scenario);
      located.scenario.workload = closed_loop(row, static_cast<std::int64_t>(fewer) + more);
    }
    return std::nullopt;
  }

  // In the life of a request each of the others of its group is followed by one that joins, and all
  // that have come since the step before take one of the group's together. Where there is no other
  // group no step is run at all.
  void joins(const ServingRow& row, const ServingEngine* engine, const scenario::Scenario& scenario,
             Question& out) const {
    if (!terms_.joins_take_a_step || !row.osl) return;
    const Among these = is_of(row, terms_.joins_take_a_step->lines)
                            ? Among::yes
                            : among(row, engine, terms_.joins_take_a_step->releases);
    const double others = mean_requests(row) / static_cast<double>(whole(row.attention_dp)) - 1.0;
    if (these == Among::no || others <= 0.0) return;
    if (these == Among::not_told) {
      return release_not_told(terms_.joins_take_a_step->releases, out);
    }
    double tokens = 1.0;  // of a step
    if (const auto& drafting = scenario.deployment.drafting) {
      double passed = 1.0;
      for (std::int64_t draft = 0; draft < drafting->tokens; ++draft) {
        passed *= drafting->acceptance;
        tokens += passed;
      }
    }
    const double joined = others * tokens / *row.osl;
    const double taken = steps_taken(joined);
    if (whole(row.attention_dp) > 1) {
      out.sat_out = taken;
    } else {
      out.waited_ms = 1e3 * taken * terms_.joins_take_a_step->host.value();
    }
  }

  // For each step with tokens, those that requests take which join at random, `joined` of them. Of
  // y steps for one with tokens, y - 1 are taken, as often as any has come in one: 1 - 1 / y is
  // 1 - exp(-joined / y), or y ln(y) = joined. By Newton's method.
  static double steps_taken(double joined) {
    double y = 1.0;
    for (int i = 0; i < 20; ++i) y = (y + joined) / (1.0 + std::log(y));
    return y - 1.0;
  }

  static std::string figure_words(const ServingRow& row, const scenario::Pool& gpus) {
    std::string cut = fmt::format("TP{}", gpus.attention_tensor_parallel);
    if (const std::int64_t dp = gpus.gpus_per_instance / gpus.attention_tensor_parallel; dp > 1) {
      cut = fmt::format("{}DP{}", gpus.attention_tensor_parallel > 1 ? cut + " " : "", dp);
      if (gpus.ffn_tensor_parallel > 1) cut += fmt::format(", FFN TP{}", gpus.ffn_tensor_parallel);
    }
    if (gpus.ffn_expert_parallel > 1) cut += fmt::format(" EP{}", gpus.ffn_expert_parallel);
    return fmt::format("{}: {} on {} {}, {}", row.id, row.model, gpus.gpus_per_instance, row.chip,
                       cut);
  }

  const std::string& file_;
  const ServingTerms& terms_;
  scenario::Library& library_;
};

// ---- the answer ---------------------------------------------------------------------------------

// Throughput falls as the time of a token grows.
void add_joins(const Question& question, LedgerRow& row) {
  double step_ms = 0.0;
  for (const LedgerPart& part : row.parts) step_ms += part.value;
  const double joins_ms = step_ms * question.sat_out + question.waited_ms;
  if (joins_ms <= 0.0) return;
  row.parts.push_back({"requests that join", joins_ms});
  const double longer = 1.0 + joins_ms / step_ms;
  row.predicted *= question.figure == kTimePerToken ? longer : 1.0 / longer;
}

// Into what the row predicts, and of what that is made; under a draw where there are `draws`.
void answer_to(const Question& question, scenario::Library& library,
               const scenario::InputDraws* draws, std::uint64_t seed, LedgerRow& row) {
  const auto& figure = answer::simulation_figure(question.figure);
  name_figure(figure.spec, row);
  double prefill_ms = 0.0;
  for (std::size_t i = 0; i < question.scenarios.size(); ++i) {
    scenario::LocatedScenario located = question.scenarios[i];
    if (draws != nullptr) located.scenario = draws->drawn(located, question.open, library, seed);
    auto resolved = draws == nullptr
                        ? scenario::resolve(located, library)
                        : scenario::resolve(located, library, draws->calibrations(seed));
    if (draws != nullptr) resolved.input.seed += seed;
    if (i == 0 && question.prompts > 0.0) {
      const Seconds wait =
          question.prompts * prefill_wait(resolved.input.deployment, question.prefill);
      prefill_ms = 1e3 * wait.value() / question.answer_tokens;
    }
    const auto report = answer::simulate(std::move(resolved), {.floor = false});
    const double share = i == 1 ? question.upper_share : 1.0 - question.upper_share;
    row.predicted += share * figure.shown(report);
    row.provenance = report.provenance;
    row.links = report.link_provenance;
    add_stage_parts(report, row, share);
  }
  add_joins(question, row);
  row.predicted += prefill_ms;
  if (prefill_ms > 0.0) row.parts.push_back({"prompts of others", prefill_ms});
}

LedgerRow predict(Question& question, const scenario::InputDraws& draws, int samples,
                  scenario::Library& library, bool with_scenarios) {
  LedgerRow row = std::move(question.row);
  if (with_scenarios) {
    for (const scenario::LocatedScenario& asked : question.scenarios) {
      row.scenarios.push_back(json_text(asked.scenario));
    }
  }
  answer_to(question, library, nullptr, 0, row);
  if (samples == 0) return row;
  std::vector<double> values;
  for (int i = 1; i <= samples; ++i) {
    LedgerRow again;
    answer_to(question, library, &draws, static_cast<std::uint64_t>(i), again);
    values.push_back(again.predicted);
  }
  row.interval = interval_90(std::move(values));
  const scenario::LocatedScenario& asked = question.scenarios.front();
  for (const auto& input : draws.inputs(asked, question.open, library)) {
    if (input.one_sided) row.one_sided.push_back(input.what);
  }
  row.open = draws.with_nothing_fixed().inputs(asked, question.open, library);
  return row;
}

}  // namespace

static const KeyTable& keys_of(const ServingEngine* /*of*/) {
  using E = ServingEngine;
  static const KeyTable table = key_table<E>(
      "engine", "What an engine does that is in no kernel, as its own sources say.",
      {
          key<&E::title>("title", "As people write it."),
          key<&E::names>(
              "names",
              "That the table may write, in small letters, with signs or spaces between "
              "its words and a \"v\" before numbers; the first engine that is named in a "
              "line is its engine."),
          key<&E::kernels>("kernels", "Its own in calibrations, a star for any letters.")
              .optional(),
          key<&E::kernels_by_library>("kernels_by_library",
                                      "Preferred to them where a library like DeepEP exchanges "
                                      "tokens: in expert parallelism "
                                      "over nodes, or in an NVLink domain of more than eight GPUs.")
              .optional(),
          key<&E::step_overhead>("step_overhead_us",
                                 "Between two steps, when the GPUs wait for the host.",
                                 at_least(0)),
          key<&E::step_overhead_over_nodes>(
              "step_overhead_over_nodes_us",
              "In its place where a library sums over the GPUs of several nodes (tensor "
              "parallelism); the same where absent.",
              at_least(0)),
          key<&E::gap_before_sums_over_nodes>(
              "gap_before_sums_over_nodes_us",
              "In front of each of those sums, in a captured graph.", at_least(0))
              .optional(),
          key<&E::routing_in_mxfp4>(
              "routing_in_mxfp4_us",
              "As routing_us of /deployment/execution, where experts are in MXFP4.", at_least(0)),
          key<&E::captured_with_drafts>(
              "captured_batches_with_drafts",
              "In place of captured_batches of the terms where requests are drafted for; the same "
              "where absent.",
              between(1, 1e6))
              .optional(),
          key<&E::mixes_prefill>("mixes_prefill", "Whether prompts share steps with decoding."),
          key<&E::exchange_within_node>("exchange_within_node",
                                        "As exchange of deployments, with data-parallel attention "
                                        "on one node of at most eight "
                                        "GPUs.",
                                        std::span(scenario::kExchangeWays))
              .optional(),
          key<&E::two_batches>("two_batches",
                               "The order in which it overlaps two batches, as schedules of "
                               "deployments; whichever is ready where absent.",
                               std::span(scenario::kSchedules)),
          key<&E::profiled>("profiled",
                            "Whether its figures were worked out from a profile of GPUs: they are "
                            "taken to hold no gap between steps, and intervals draw none.")
              .optional(),
          key<&E::even_routing>("even_routing",
                                "Whether equal loads of experts were imposed when it was "
                                "measured.")
              .optional(),
          key<&E::execution>("execution", "").optional(),
          key<&E::execution_over_nodes>(
              "execution_over_nodes",
              "Where expert parallelism spans nodes; the same where absent."),
          key<&E::source>("source", "Where all of it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Strategies* /*of*/) {
  using S = ServingTerms::Strategies;
  static const KeyTable table = key_table<S>(
      "strategies",
      "Words of strategies, in letters of any case, with any signs between them and other words "
      "around them.",
      {
          key<&S::prefill_elsewhere>("prefill_elsewhere", "The GPUs that decode do nothing else."),
          key<&S::prefill_on_the_same>("prefill_on_the_same", "They work on prompts too."),
      });
  return table;
}

static std::span<const Named<WeightPart>> weight_part_names() {
  static constexpr std::array<Named<WeightPart>, 4> kNames = {{{"attention", WeightPart::attention},
                                                               {"dense", WeightPart::dense},
                                                               {"shared", WeightPart::shared},
                                                               {"routed", WeightPart::routed}}};
  return kNames;
}

static const KeyTable& keys_of(const ServingWeights::Kept* /*of*/) {
  using K = ServingWeights::Kept;
  static const KeyTable table = key_table<K>(
      "kept", "Parts that a checkpoint keeps in one format, and computes with.",
      {
          key<&K::parts>("parts",
                         "Of a checkpoint: attention's projections, dense FFNs, shared and routed "
                         "experts.",
                         weight_part_names()),
          key_in<&K::weights, &models::WeightFormat::precision>("weights_precision", "As stored.",
                                                                models::precision_names()),
          key_in<&K::weights, &models::WeightFormat::scales>(
              "weights_scales", "That groups of them share, where there are any.")
              .optional(),
          key<&K::compute>("compute_precision", "What matrix units do with them.",
                           models::precision_names()),
      });
  return table;
}

ServingWeights::Kept ServingWeights::of(WeightPart part) const {
  for (const Kept& each : kept) {
    if (std::find(each.parts.begin(), each.parts.end(), part) != each.parts.end()) return each;
  }
  return {};
}

static const KeyTable& keys_of(const ServingWeights* /*of*/) {
  using W = ServingWeights;
  static const KeyTable table = key_table<W>(
      "weights", "A precision of weights as tables write it, and what a checkpoint in it keeps.",
      {
          key<&W::names>("names",
                         "Words of the cell, in letters of any case, with any signs between them "
                         "and other words around them; the longest that stand there count.",
                         keys::AtLeastOne{"at least one name"}),
          key<&W::models>("models",
                          "Of these alone, as tables write them: with such words a line of one of "
                          "them means this, and not what stands behind it.")
              .optional(),
          key<&W::shipped>(
              "shipped",
              "Whether these models are published so and not otherwise, so that a line "
              "need not say it.")
              .optional(),
          key<&W::kept>("kept", "The other parts are in BF16."),
          key<&W::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Popularity* /*of*/) {
  using P = ServingTerms::Popularity;
  static const KeyTable table = key_table<P>(
      "expert_popularity", "How unevenly routers choose: a power law of an expert's rank.",
      {
          key<&P::exponent>("exponent", "0: all alike.", between(0, 10)),
          key<&P::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Balancer* /*of*/) {
  using B = ServingTerms::Balancer;
  static const KeyTable table = key_table<B>(
      "balancer", "What a balancer of the experts' load leaves.",
      {
          key<&B::error>("error", "As balancer_error of /noise/experts.", between(0, 10)),
          key<&B::copies>("copies",
                          "Where a line does not say; more where the ranks would not hold equally "
                          "many.",
                          between(0, 1e6)),
          key<&B::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const Releases* /*of*/) {
  using R = Releases;
  static const KeyTable table =
      key_table<R>("releases", "Releases of an engine, both ends among them.",
                   {
                       key<&R::engine>("engine", "The title of one of the engines."),
                       key<&R::from>("from", "The first: \"0.5.2\". Open where absent.").optional(),
                       key<&R::until>("until",
                                      "The last, with its posts (\"0.5.8\" holds 0.5.8.post1; "
                                      "\"0.5\" is 0.5.0). Open where absent.")
                           .optional(),
                   })
          .relation([](const JsonNode& node, const void* object) {
            const auto& releases = *static_cast<const R*>(object);
            for (const auto& [name, text] :
                 {std::pair{"from", &releases.from}, std::pair{"until", &releases.until}}) {
              if (text->empty() || release_numbers(*text)) continue;
              node.child(name).expected("a release: numbers with points between them (\"0.5.2\")");
            }
            const auto from = release_numbers(releases.from);
            if (from && release_numbers(releases.until) && !holds(releases, *from)) {
              node.child("until").expected("a release that is not before \"from\"");
            }
          });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Norm* /*of*/) {
  using N = ServingTerms::Norm;
  static const KeyTable table = key_table<N>(
      "norm_in_all_reduce", "The kernel of an all-reduce that does the norm behind it too.",
      {
          key<&N::chips>("chips", "On which it was measured, and those of their generation."),
          key<&N::kernels>("kernels",
                           "As prefer_kernels of a pool, before the engine's own: what the sum "
                           "alone takes.")
              .optional(),
          key<&N::added>("added_us", "What the norm adds to each.", at_least(0)),
          key<&N::source>("source", "Who measured it."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::NormsApart* /*of*/) {
  using N = ServingTerms::NormsApart;
  static const KeyTable table = key_table<N>(
      "norms_apart",
      "Releases that do not have the norm in the kernel of an all-reduce on some chips, whatever "
      "their engine does otherwise.",
      {
          key<&N::releases>("releases", "That do so."),
          key<&N::chips>("chips", "On which that kernel is turned off."),
          key<&N::kernels>("kernels", "In its place, before the engine's own.").optional(),
          key<&N::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Captured* /*of*/) {
  using C = ServingTerms::Captured;
  static const KeyTable table = key_table<C>(
      "captured_batches", "What engines capture graphs of.",
      {
          key<&C::batches>("batches", "As captured_batches of /deployment/execution.",
                           between(1, 1e6)),
          key<&C::as_measured>("as_measured",
                               "Sources of lines whose recipes captured just what they measured.")
              .optional(),
          key<&C::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::Nics* /*of*/) {
  using N = ServingTerms::Nics;
  static const KeyTable table = key_table<N>(
      "exchange_nics", "What exchanges over NICs reach.",
      {
          key<&N::share>("share", "Of the bandwidth that they were measured with.", positive(10)),
          key<&N::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::ExchangesByNics* /*of*/) {
  using X = ServingTerms::ExchangesByNics;
  static const KeyTable table = key_table<X>(
      "exchanges_by_nics", "As exchanges_by_nics of /deployment/execution, of older measurements.",
      {
          key<&X::lines>("lines", "By a part of their sources or engines."),
          key<&X::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::KernelsByLine* /*of*/) {
  using K = ServingTerms::KernelsByLine;
  static const KeyTable table = key_table<K>(
      "kernels_by_line", "Kernels that lines ran which their engine's own are not.",
      {
          key<&K::lines>("lines", "By a part of their sources or engines."),
          key<&K::kernels>("kernels", "As prefer_kernels of a pool, before the engine's own.",
                           keys::AtLeastOne{"the name of at least one kernel"}),
          key<&K::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::DraftsWithoutOverlap* /*of*/) {
  using D = ServingTerms::DraftsWithoutOverlap;
  static const KeyTable table =
      key_table<D>("drafts_without_overlap",
                   "Lines of a time when an engine that drafts waited for its host between steps.",
                   {
                       key<&D::lines>("lines", "By a part of their sources or engines."),
                       key<&D::step_overhead>("step_overhead_us",
                                              "As step_overhead_us of /deployment.", at_least(0)),
                       key<&D::source>("source", "Where it was found."),
                   });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::JoinsTakeAStep* /*of*/) {
  using J = ServingTerms::JoinsTakeAStep;
  static const KeyTable table = key_table<J>(
      "joins_take_a_step",
      "Lines of engines with data-parallel attention in which a request that comes from prefill "
      "elsewhere takes a step of the GPUs that it joins: the requests there get no token in it.",
      {
          key<&J::lines>("lines", "By a part of their sources or engines.").optional(),
          key<&J::releases>("releases", "In which it does.").optional(),
          key<&J::host>("host_us",
                        "Where there is one group of GPUs, so that no step is run: what they wait "
                        "for until the next.",
                        at_least(0)),
          key<&J::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::FourBitOutputs* /*of*/) {
  using F = ServingTerms::FourBitOutputs;
  static const KeyTable table = key_table<F>(
      "four_bit_outputs",
      "Lines in FP4 whose checkpoints keep attention's output projections in four bits too.",
      {
          key<&F::lines>("lines", "By a part of their sources or engines."),
          key<&F::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::EightBitCaches* /*of*/) {
  using C = ServingTerms::EightBitCaches;
  static const KeyTable table = key_table<C>(
      "eight_bit_caches", "Lines whose recipes keep caches in FP8, where they do not say it.",
      {
          key<&C::lines>("lines", "By a part of their sources or engines."),
          key<&C::source>("source", "Where it was found."),
      });
  return table;
}

static const KeyTable& keys_of(const ServingTerms::StandIn* /*of*/) {
  static const KeyTable table = key_table<ServingTerms::StandIn>(
      "gathers_as_all_to_all",
      "Where it stands, engines that gather all tokens on all GPUs of a node are asked with "
      "measured kernels of all-to-all exchanges in place of that.",
      {key<&ServingTerms::StandIn::source>("source", "Why.")});
  return table;
}

static bool is_known_kernel(const std::string& name) {
  const std::vector<std::string>& known = hw::calibrated::known_kernels();
  return std::any_of(known.begin(), known.end(), [&](const std::string& kernel) {
    return hw::calibrated::is_named(kernel, name) || hw::calibrated::is_named(name, kernel);
  });
}

// A kernel that no calibration has is taken for one that was measured on other chips alone.
static void check_kernels(const JsonNode& node, const ServingTerms& terms) {
  const auto check = [](const JsonNode& list, const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (is_known_kernel(names[i])) continue;
      std::vector<std::string> known = hw::calibrated::known_kernels();
      if (has(names[i], "*")) {
        // Of a name for several what may be meant is whose they are.
        for (std::string& kernel : known) kernel = kernel.substr(0, kernel.find(':')) + ":*";
      }
      list.child(i).expected(
          "the name of a kernel that a calibration has a curve of or facts are known of",
          did_you_mean(names[i], known));
    }
  };
  for (std::size_t i = 0; i < terms.engines.size(); ++i) {
    const JsonNode engine = node.child("engines").child(i);
    const ServingEngine& each = terms.engines[i];
    if (!each.kernels.empty()) check(engine.child("kernels"), each.kernels);
    if (!each.kernels_by_library.empty()) {
      check(engine.child("kernels_by_library"), each.kernels_by_library);
    }
  }
  for (std::size_t i = 0; i < terms.kernels_by_line.size(); ++i) {
    check(node.child("kernels_by_line").child(i).child("kernels"),
          terms.kernels_by_line[i].kernels);
  }
  for (std::size_t i = 0; i < terms.norm_in_all_reduce.size(); ++i) {
    const std::vector<std::string>& names = terms.norm_in_all_reduce[i].kernels;
    if (!names.empty()) check(node.child("norm_in_all_reduce").child(i).child("kernels"), names);
  }
  if (terms.norms_apart && !terms.norms_apart->kernels.empty()) {
    check(node.child("norms_apart").child("kernels"), terms.norms_apart->kernels);
  }
}

// That names are of something: what is misspelled would be passed over in silence.
static void check_names(const JsonNode& node, const ServingTerms& terms) {
  const std::vector<std::string> chips = hw::chip_names();
  const auto check = [](const JsonNode& at, const std::string& name,
                        const std::vector<std::string>& known, std::string_view what) {
    if (std::find(known.begin(), known.end(), name) != known.end()) return;
    at.expected(fmt::format("the name of {} that ships", what), did_you_mean(name, known));
  };
  const auto check_all = [&](const char* key, const std::map<std::string, std::string>& names,
                             const std::vector<std::string>& known, std::string_view what) {
    if (names.empty()) return;
    for (const auto& [written, name] : names)
      check(node.child(key).child(written), name, known, what);
  };
  check_all("models", terms.models, models::model_names(), "a model");
  check_all("chips", terms.chips, chips, "a chip");
  for (std::size_t i = 0; i < terms.weights.size(); ++i) {
    const std::vector<std::string>& names = terms.weights[i].models;
    for (std::size_t j = 0; j < names.size(); ++j) {
      if (model_named(terms.models, names[j])) continue;
      node.child("weights").child(i).child("models").child(j).expected(
          "the name of a model that ships, or of one among \"models\"",
          did_you_mean(names[j], models::model_names()));
    }
  }
  check_all("calibrations", terms.calibrations, hw::calibrated::calibration_names(),
            "a calibration");
  check_kernels(node, terms);
  std::vector<std::string> with_norm;
  for (std::size_t i = 0; i < terms.norm_in_all_reduce.size(); ++i) {
    const JsonNode list = node.child("norm_in_all_reduce").child(i).child("chips");
    const std::vector<std::string>& names = terms.norm_in_all_reduce[i].chips;
    for (std::size_t j = 0; j < names.size(); ++j) {
      check(list.child(j), names[j], chips, "a chip");
      if (std::find(with_norm.begin(), with_norm.end(), names[j]) != with_norm.end()) {
        list.child(j).expected("a chip that is not named above");
      }
      with_norm.push_back(names[j]);
    }
  }
  const auto check_releases = [&](const char* key, const std::vector<Releases>& releases) {
    for (std::size_t i = 0; i < releases.size(); ++i) {
      const bool is_engine =
          std::any_of(terms.engines.begin(), terms.engines.end(),
                      [&](const ServingEngine& each) { return each.title == releases[i].engine; });
      if (is_engine) continue;
      node.child(key)
          .child("releases")
          .child(i)
          .child("engine")
          .expected("the title of one of the engines");
    }
  };
  if (const auto& joins = terms.joins_take_a_step) {
    check_releases("joins_take_a_step", joins->releases);
    if (joins->lines.empty() && joins->releases.empty()) {
      node.child("joins_take_a_step").expected("\"lines\" or \"releases\"");
    }
  }
  if (!terms.norms_apart) return;
  check_releases("norms_apart", terms.norms_apart->releases);
  const JsonNode list = node.child("norms_apart").child("chips");
  for (std::size_t j = 0; j < terms.norms_apart->chips.size(); ++j) {
    check(list.child(j), terms.norms_apart->chips[j], chips, "a chip");
  }
}

const KeyTable& keys_of(const ServingTerms* /*of*/) {
  using T = ServingTerms;
  static const KeyTable table =
      key_table<T>(
          "serving",
          "A table of serving measurements (docs/serving.md), and how its words are to be taken.",
          {
              key<&T::rows>("rows", "The CSV file, from this file's folder."),
              key<&T::models>("models", "As the table writes them -> as Ridge does."),
              key<&T::chips>("chips", "Likewise.").optional(),
              key<&T::chip_words>("chip_words", "In small letters: that leave the chip the same.")
                  .optional(),
              key<&T::strategies>("strategies", "What words on a line's strategy say of prompts."),
              key<&T::caches>("caches", "As the table writes their precision -> as Ridge does.",
                              models::precision_names()),
              key<&T::weights>("weights",
                               "The first that fits a line's model and words is what they mean."),
              key<&T::calibrations>("calibrations", "Of chips that have none of their own."),
              key<&T::engines>("engines", ""),
              key<&T::expert_popularity>("expert_popularity", "Unless routing was imposed."),
              key<&T::balancer>(
                  "balancer",
                  "At work in expert parallelism over nodes, and where a line has copies "
                  "of experts."),
              key<&T::captured>("captured_batches", ""),
              key<&T::exchange_nics>("exchange_nics", ""),
              key<&T::exchanges_by_nics>("exchanges_by_nics", ""),
              key<&T::kernels_by_line>("kernels_by_line", "").optional(),
              key<&T::four_bit_outputs>("four_bit_outputs", ""),
              key<&T::eight_bit_caches>("eight_bit_caches", ""),
              key<&T::drafts_without_overlap>("drafts_without_overlap", ""),
              key<&T::joins_take_a_step>("joins_take_a_step", ""),
              key<&T::gathers_as_all_to_all>("gathers_as_all_to_all", ""),
              key<&T::norm_in_all_reduce>("norm_in_all_reduce", ""),
              key<&T::norms_apart>("norms_apart", ""),
              key<&T::within_node>(
                  "within_node",
                  "Where no sums were measured over so many nodes: what software and "
                  "protocol take from NVLink."),
              key<&T::between_nodes>("between_nodes", "Likewise from the NICs."),
          })
          .relation([](const JsonNode& node, const void* object) {
            check_names(node, *static_cast<const T*>(object));
          });
  return table;
}

std::span<const ServingMechanism> serving_mechanisms() {
  static constexpr auto kEach = [](ServingTerms& terms, auto&& change) {
    for (ServingEngine& engine : terms.engines) {
      change(engine.execution);
      if (engine.execution_over_nodes) change(*engine.execution_over_nodes);
    }
  };
  static constexpr std::array kMechanisms = {
      ServingMechanism{"prompts of others on the same GPUs",
                       [](ServingTerms& terms) { terms.prompts = false; }},
      ServingMechanism{"the engine's own kernels",
                       [](ServingTerms& terms) {
                         for (ServingEngine& engine : terms.engines) {
                           engine.kernels.clear();
                           engine.kernels_by_library.clear();
                         }
                       }},
      // What a balancer knows wrongly of experts that are all alike is nothing.
      ServingMechanism{"uneven experts",
                       [](ServingTerms& terms) {
                         terms.expert_popularity.exponent = 0.0;
                         terms.balancer.error = 0.0;
                       }},
      ServingMechanism{"what a balancer leaves",
                       [](ServingTerms& terms) { terms.balancer.error = 0.0; }},
      ServingMechanism{"caches from memory, not from L2",
                       [](ServingTerms& terms) {
                         kEach(terms, [](decode::Execution& e) { e.cold_caches = false; });
                       }},
      ServingMechanism{"shared experts beside routed ones",
                       [](ServingTerms& terms) {
                         kEach(terms,
                               [](decode::Execution& e) { e.shared_experts_beside = false; });
                       }},
      ServingMechanism{"all-reduce and norm in one kernel",
                       [](ServingTerms& terms) {
                         kEach(terms, [](decode::Execution& e) { e.all_reduce_with_norm = false; });
                       }},
      ServingMechanism{"what the norm adds to that kernel",
                       [](ServingTerms& terms) {
                         for (ServingTerms::Norm& norm : terms.norm_in_all_reduce) norm.added = {};
                       }},
      ServingMechanism{"one kernel of sums with norms in every engine",
                       [](ServingTerms& terms) {
                         for (ServingTerms::Norm& norm : terms.norm_in_all_reduce) {
                           norm.kernels.clear();
                         }
                       }},
      ServingMechanism{"releases that turn that kernel off",
                       [](ServingTerms& terms) { terms.norms_apart.reset(); }},
      ServingMechanism{"launches that begin early",
                       [](ServingTerms& terms) {
                         kEach(terms, [](decode::Execution& e) { e.launch_overlap = {}; });
                       }},
      ServingMechanism{"kernels of exchanges on the GPU",
                       [](ServingTerms& terms) {
                         kEach(terms, [](decode::Execution& e) { e.exchange_kernels.reset(); });
                       }},
      ServingMechanism{"exchanges by NICs alone, of their time",
                       [](ServingTerms& terms) { terms.exchanges_by_nics.lines.clear(); }},
      ServingMechanism{"kernels that lines name",
                       [](ServingTerms& terms) { terms.kernels_by_line.clear(); }},
      ServingMechanism{"output projections in four bits",
                       [](ServingTerms& terms) { terms.four_bit_outputs.reset(); }},
      ServingMechanism{"caches in FP8 as recipes have them",
                       [](ServingTerms& terms) { terms.eight_bit_caches.reset(); }},
      ServingMechanism{"a wait for the host between steps with drafts",
                       [](ServingTerms& terms) { terms.drafts_without_overlap.reset(); }},
      ServingMechanism{"steps that joining requests take",
                       [](ServingTerms& terms) { terms.joins_take_a_step.reset(); }},
      ServingMechanism{"all-to-all exchanges in place of gathers within a node",
                       [](ServingTerms& terms) { terms.gathers_as_all_to_all.reset(); }},
      ServingMechanism{"two batches in the engine's order",
                       [](ServingTerms& terms) {
                         for (ServingEngine& engine : terms.engines) engine.two_batches.reset();
                       }},
      ServingMechanism{"sums over nodes as measured",
                       [](ServingTerms& terms) { terms.measured_sums = false; }},
      ServingMechanism{"the median of clusters, the good one in its place",
                       [](ServingTerms& terms) { terms.median_cluster = false; }},
      ServingMechanism{"gaps before sums over nodes",
                       [](ServingTerms& terms) {
                         for (ServingEngine& engine : terms.engines) {
                           engine.gap_before_sums_over_nodes = {};
                         }
                       }},
      ServingMechanism{"sums of squares in norms over all heads",
                       [](ServingTerms& terms) { terms.sums_of_squares = false; }},
      ServingMechanism{"kernels that choose experts in MXFP4",
                       [](ServingTerms& terms) {
                         for (ServingEngine& engine : terms.engines) {
                           engine.routing_in_mxfp4.reset();
                         }
                       }},
      ServingMechanism{"embeddings and logits of a shared vocabulary",
                       [](ServingTerms& terms) {
                         kEach(terms, [](decode::Execution& e) { e.vocabulary_exchange = false; });
                       }},
      ServingMechanism{"batches padded to captured graphs",
                       [](ServingTerms& terms) {
                         terms.captured.batches.clear();
                         for (ServingEngine& engine : terms.engines)
                           engine.captured_with_drafts.clear();
                       }},
      ServingMechanism{"a gap between steps", [](ServingTerms& terms) {
                         for (ServingEngine& engine : terms.engines) {
                           engine.step_overhead = {};
                           engine.step_overhead_over_nodes.reset();
                         }
                       }}};
  return kMechanisms;
}

bool predict_serving(const std::vector<ServingRow>& rows, const std::string& file,
                     const ServingTerms& terms, const scenario::InputDraws& draws, int samples,
                     scenario::Library& library, bool with_scenarios, Ledger& ledger,
                     const GoOn& go_on) {
  const Asker asker(file, terms, library);
  std::atomic<bool> stopped{false};
  std::vector<std::variant<LedgerRow, LedgerGap>> out(rows.size());
  parallel_for(usual_threads(), rows.size(), [&] {
    return [&](std::size_t i) {
      if (go_on && !go_on(static_cast<double>(i) / static_cast<double>(rows.size()))) {
        stopped = true;
        return false;
      }
      const ServingRow& row = rows[i];
      try {
        auto question = asker.ask(row);
        if (const auto* cannot = std::get_if<CannotAsk>(&question)) {
          out[i] = LedgerGap{.figure = row.id, .source = row.source, .reason = cannot->reason};
        } else {
          out[i] = predict(std::get<Question>(question), draws, samples, library, with_scenarios);
        }
      } catch (const UserError& e) {
        // A deployment that cannot be run as the table says.
        std::string reason = e.what();
        const std::string where = file + ": /deployment: ";
        if (reason.starts_with(where)) reason.erase(0, where.size());
        out[i] = LedgerGap{.figure = row.id, .source = row.source, .reason = std::move(reason)};
      }
      return true;
    };
  });
  if (stopped) return false;
  if (samples > 0) ledger.drawn = draws.inputs();
  for (auto& each : out) {
    if (auto* row = std::get_if<LedgerRow>(&each)) {
      ledger.rows.push_back(std::move(*row));
    } else {
      ledger.left_out.push_back(std::move(std::get<LedgerGap>(each)));
    }
  }
  return true;
}

}  // namespace ridge::evidence
