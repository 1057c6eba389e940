#include "cost_evaluator.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/reference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

// What a column needs to be reckoned.
enum class Source : std::uint8_t { parameters, shape, demand, chip, pairing };

enum ColumnId : std::size_t {
  kTotalParameters,
  kActiveParameters,
  kWeightBytes,
  kLayers,
  kEffectiveRank,
  kKvBytesPerToken,
  kKvBytes,
  kAttentionFlop,
  kLinearFlop,
  kFfnFlop,
  kArithmeticIntensity,
  kRidgePoint,
  kAttentionBound,
  kAttentionUsd,
  kFfnUsd,
  kTotalUsd,
  kAfdAttentionChip,
  kAfdFfnChip,
  kAfdAttentionUsd,
  kAfdFfnUsd,
  kAfdUsd,
  kColumnCount
};

constexpr std::array<ColumnSpec, kColumnCount> kColumns = {{
    {"total_parameters", "parameters, embeddings and LM head included"},
    {"active_parameters", "parameters multiplied with one token"},
    {"weight_bytes", "bytes of all weights at their precisions"},
    {"layers", "layers"},
    {"effective_rank", "query heads x head dimension, rotary parts left out"},
    {"kv_bytes_per_token", "bytes that one more token adds to the cache of a sequence"},
    {"kv_bytes", "bytes of cache read per decoded token"},
    {"attention_flop", "FLOP of the attention itself per decoded token"},
    {"linear_flop", "FLOP of the attention's projections per decoded token"},
    {"ffn_flop", "FLOP of the FFN per decoded token"},
    {"arithmetic_intensity", "attention FLOP per byte of cache"},
    {"ridge_point", "FLOP per byte at which the chip turns compute-bound"},
    {"attention_bound", "what the attention waits for on the chip", true},
    {"attention_usd_per_Mtok", "US dollars per million tokens: attention and its projections"},
    {"ffn_usd_per_Mtok", "US dollars per million tokens: FFN"},
    {"total_usd_per_Mtok", "US dollars per million tokens on the chip"},
    {"afd_attention_chip", "the cheapest of afd_chips for the attention", true},
    {"afd_ffn_chip", "the cheapest of afd_chips for the FFN", true},
    {"afd_attention_usd_per_Mtok", "US dollars per million tokens: attention on its best chip"},
    {"afd_ffn_usd_per_Mtok", "US dollars per million tokens: FFN on its best chip"},
    {"afd_usd_per_Mtok", "US dollars per million tokens of the best pairing of afd_chips"},
}};

constexpr Source source_of(std::size_t column) {
  if (column <= kWeightBytes) return Source::parameters;
  if (column <= kKvBytesPerToken) return Source::shape;
  if (column <= kArithmeticIntensity) return Source::demand;
  return column <= kTotalUsd ? Source::chip : Source::pairing;
}

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double per_million(UsdPerToken cost) {
  return cost.value() * 1e6;
}

// A chip and what its use costs, as far as both are known.
struct PricedChip {
  const hw::ChipSpec* chip = nullptr;
  std::optional<hw::theory::PricedChip> cost;
  double label = 0;
};

constexpr std::array<Named<models::MlaCount>, 2> kMlaCounts = {
    {{"absorbed", models::MlaCount::absorbed}, {"step3", models::MlaCount::step3}}};

struct Question {
  scenario::ModelReference model;
  std::optional<scenario::ChipReference> chip;
  std::vector<scenario::ChipReference> afd_chips;
  std::optional<double> context;  // tokens
  std::string price;              // empty for each chip's default
  std::optional<double> batch;
  models::MlaCount mla_count = hw::theory::CostAssumptions{}.mla_count;

  // Documents stand in place of their names once the question is prepared.
  [[nodiscard]] const models::ModelSpec& spec() const { return *model.spec; }
  [[nodiscard]] hw::theory::CostAssumptions assumptions() const {
    return {.mla_count = mla_count, .batch = batch};
  }
};

const KeyTable& keys_of(const Question* /*of*/) {
  using Q = Question;
  static const KeyTable table =
      key_table<Q>(
          "cost", "What a token costs.",
          {
              key_of_all<Q>("kind", "", keys::constant("cost", "a question of kind \"cost\"")),
              key<&Q::model>("model",
                             "A shipped name, the path of a file (from this file's folder), or the "
                             "model itself."),
              key<&Q::chip>("chip",
                            "A shipped name, the path of a file (from this file's folder), or the "
                            "chip itself."),
              key<&Q::afd_chips>(
                  "afd_chips",
                  "Candidates for the pool that does the attention and the pool that "
                  "does the FFN.",
                  keys::AtLeastOne{"at least one chip"})
                  .optional(),
              key<&Q::context>("context_tokens",
                               "Cached tokens. Required, unless an axis moves it.",
                               between(1, 1e9)),
              key<&Q::price>("price", "Which of a chip's prices; its first where absent.")
                  .optional(),
              key<&Q::batch>(
                  "batch", "Tokens that share one reading of the weights; unlimited where absent.",
                  between(1, 1e9)),
              key<&Q::mla_count>("mla_count",
                                 "absorbed: 576 values for the scores, 512 for the values. step3: "
                                 "576 for both, as the Step-3 report counts.",
                                 std::span(kMlaCounts))
                  .optional(),
          })
          .commented();
  return table;
}

class CostEvaluator final : public Evaluator {
 public:
  CostEvaluator(std::unique_ptr<const Question> question, const EvaluatorNeeds& needs)
      : question_(std::move(question)),
        columns_(needs.columns.begin(), needs.columns.end()),
        costs_(question_->assumptions()) {
    for (const std::size_t column : columns_) {
      needed_[static_cast<std::size_t>(source_of(column))] = true;
    }
    for (const auto resource : {hw::Resource::compute, hw::Resource::memory}) {
      bound_labels_[static_cast<std::size_t>(resource)] = needs.labels->intern(name_of(resource));
    }
    if (question_->chip) chip_ = priced(*question_->chip->spec, *needs.labels);
    for (const auto& chip : question_->afd_chips) {
      afd_chips_.push_back(priced(*chip.spec, *needs.labels));
    }
    for (const std::string& pointer : needs.moving) {
      chips_move_ |= pointer.starts_with("/chip/") || pointer.starts_with("/afd_chips/");
      batch_moves_ |= pointer == "/batch";
    }
  }

  [[nodiscard]] std::string problem() const override {
    return models::model_problem(question_->spec()).text;
  }

  void evaluate(std::span<double> out) override {
    if (chips_move_) {
      if (chip_) reprice(*chip_);
      for (PricedChip& chip : afd_chips_) reprice(chip);
    }
    if (batch_moves_) costs_ = hw::theory::TokenCostModel(question_->assumptions());
    const auto& model = question_->spec();
    if (needs(Source::parameters)) {
      values_[kTotalParameters] = model.total_parameters();
      values_[kActiveParameters] = model.active_parameters();
      values_[kWeightBytes] = model.weight_bytes().value();
    }
    if (needs(Source::shape)) {
      values_[kLayers] = static_cast<double>(model.layers());
      values_[kEffectiveRank] = static_cast<double>(model.effective_rank());
      values_[kKvBytesPerToken] = model.cache_bytes_per_token().value();
    }
    const bool priced = chip_ && chip_->cost && needs(Source::chip);
    if (needs(Source::chip)) evaluate_chip();
    if (needs(Source::demand) && !priced) store(costs_.demand(model, *question_->context));
    if (needs(Source::pairing)) evaluate_pairing();
    for (std::size_t i = 0; i < columns_.size(); ++i) out[i] = values_[columns_[i]];
  }

  [[nodiscard]] std::string provenance() const override { return "theory"; }

  [[nodiscard]] std::vector<std::string> notes() const override {
    std::vector<std::string> out;
    const auto add = [&](const PricedChip& chip) {
      if (chip.cost) return;
      out.push_back(fmt::format(
          "{}: no cost: {}", chip.chip->name,
          hw::theory::missing_for_cost(*chip.chip, chip.chip->price(question_->price))));
    };
    if (chip_) add(*chip_);
    for (const PricedChip& chip : afd_chips_) add(chip);
    return out;
  }

 private:
  [[nodiscard]] bool needs(Source source) const {
    return needed_[static_cast<std::size_t>(source)];
  }

  PricedChip priced(const hw::ChipSpec& chip, LabelTable& labels) const {
    PricedChip out{.chip = &chip, .cost = {}, .label = labels.intern(chip.name)};
    reprice(out);
    return out;
  }

  void reprice(PricedChip& chip) const {
    const hw::Price* price = chip.chip->price(question_->price);
    chip.cost.reset();
    if (hw::theory::missing_for_cost(*chip.chip, price).empty())
      chip.cost.emplace(*chip.chip, price->rate);
  }

  void store(const hw::theory::TokenDemand& demand) {
    values_[kKvBytes] = demand.cache.value();
    values_[kAttentionFlop] = demand.attention.value();
    values_[kLinearFlop] = demand.attention_linear.value();
    values_[kFfnFlop] = demand.ffn.value();
    values_[kArithmeticIntensity] =
        demand.cache.value() > 0.0 ? demand.arithmetic_intensity().value() : kUnknown;
  }

  void evaluate_chip() {
    const auto ridge = chip_->chip->ridge_point(question_->spec().attentions.front().compute);
    values_[kRidgePoint] = ridge ? ridge->value() : kUnknown;
    if (!chip_->cost) {
      for (const auto column : {kAttentionBound, kAttentionUsd, kFfnUsd, kTotalUsd}) {
        values_[column] = kUnknown;
      }
      return;
    }
    const hw::theory::TokenCost cost =
        costs_.cost(question_->spec(), *chip_->cost, *question_->context);
    store(cost.demand);
    values_[kAttentionBound] = bound_labels_[static_cast<std::size_t>(cost.attention_bound)];
    values_[kAttentionUsd] = per_million(cost.attention);
    values_[kFfnUsd] = per_million(cost.ffn);
    values_[kTotalUsd] = per_million(cost.total());
  }

  void evaluate_pairing() {
    hw::theory::BestPairing best;
    for (std::size_t i = 0; i < afd_chips_.size(); ++i) {
      if (!afd_chips_[i].cost) continue;
      best.offer(i, costs_.cost(question_->spec(), *afd_chips_[i].cost, *question_->context));
    }
    const bool known = best.found();
    values_[kAfdAttentionChip] = known ? afd_chips_[best.attention_chip()].label : kUnknown;
    values_[kAfdFfnChip] = known ? afd_chips_[best.ffn_chip()].label : kUnknown;
    values_[kAfdAttentionUsd] = known ? per_million(best.attention()) : kUnknown;
    values_[kAfdFfnUsd] = known ? per_million(best.ffn()) : kUnknown;
    values_[kAfdUsd] = known ? per_million(best.total()) : kUnknown;
  }

  std::unique_ptr<const Question> question_;
  std::vector<std::size_t> columns_;
  std::array<bool, 5> needed_{};
  bool chips_move_ = false;
  bool batch_moves_ = false;
  hw::theory::TokenCostModel costs_;
  std::optional<PricedChip> chip_;
  std::vector<PricedChip> afd_chips_;
  std::array<double, 2 + static_cast<std::size_t>(hw::Resource::memory)> bound_labels_{};
  std::array<double, kColumnCount> values_{};
};

void check_price(const hw::ChipSpec& chip, const JsonNode& node, const std::string& price) {
  if (price.empty() || chip.prices.empty() || chip.price(price) != nullptr) return;
  std::vector<std::string> known;
  for (const auto& entry : chip.prices) known.push_back(entry.name);
  node.error(fmt::format("has no price \"{}\"; it has {}", price, fmt::join(known, ", ")));
}

JsonDocument model_document(const std::string& name_or_path, scenario::Library& /*library*/) {
  return models::model_document(name_or_path);
}
JsonDocument chip_document(const std::string& name_or_path, scenario::Library& /*library*/) {
  return hw::chip_document(name_or_path);
}

class CostEvaluatorKind final : public EvaluatorKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "cost"; }
  [[nodiscard]] std::span<const ColumnSpec> columns() const override { return kColumns; }
  [[nodiscard]] const KeyTable& keys() const override {
    return keys_of(static_cast<const Question*>(nullptr));
  }
  [[nodiscard]] std::string_view subject() const override { return "/model"; }
  [[nodiscard]] std::size_t points_per_chunk() const override { return 4096; }

  [[nodiscard]] std::string_view missing_for(std::size_t column,
                                             const JsonNode& question) const override {
    const Source source = source_of(column);
    if (source == Source::chip && !question.contains_pointer("/chip")) return "chip";
    if (source == Source::pairing && !question.contains_pointer("/afd_chips")) return "afd_chips";
    return {};
  }

  [[nodiscard]] std::vector<DocumentPlace> places(const JsonNode& question) const override {
    std::vector<DocumentPlace> out = {{"/model", model_document}, {"/chip", chip_document}};
    const auto chips = question.json().find("afd_chips");
    if (chips != question.json().end() && chips->is_array()) {
      for (std::size_t i = 0; i < chips->size(); ++i) {
        out.push_back({fmt::format("/afd_chips/{}", i), chip_document});
      }
    }
    return out;
  }

  [[nodiscard]] std::unique_ptr<Evaluator> prepare(const JsonNode& node,
                                                   const EvaluatorNeeds& needs) const override {
    auto question = std::make_unique<Question>();
    read_keys(node, *question);
    if (!question->context && node.is_object() && !node.json().contains("context_tokens")) {
      node.error("missing key \"context_tokens\"");
    }
    if (!node.context().diagnostics->ok()) return nullptr;
    const auto check = [&](const scenario::ChipReference& chip, const JsonNode& at) {
      if (chip.spec) check_price(*chip.spec, at, question->price);
    };
    if (question->chip) check(*question->chip, node.child("chip"));
    for (std::size_t i = 0; i < question->afd_chips.size(); ++i) {
      check(question->afd_chips[i], node.child("afd_chips").child(i));
    }
    if (!node.context().diagnostics->ok()) return nullptr;
    return std::make_unique<CostEvaluator>(std::move(question), needs);
  }
};

}  // namespace

const EvaluatorKind& cost_evaluator() {
  static const CostEvaluatorKind kind;
  return kind;
}

}  // namespace ridge::sweep
