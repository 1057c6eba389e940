#include "cost_evaluator.hpp"

#include "documents.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/reference.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

// What a column needs to be computed.
enum class Source : std::uint8_t { model, demand, chip, pairing };

struct Column {
  Source source;
  std::size_t figure;  // of the source's table
};

struct Columns {
  std::vector<view::FigureSpec> specs;
  std::vector<Column> columns;

  Columns() {
    for (const auto& figure : answer::model_figures()) add(Source::model, figure.spec);
    for (const auto& figure : answer::chip_figures()) {
      // What comes before the first figure of a chip is asked of the model alone.
      if (figure.spec.name == "ridge_point") of_chip_ = true;
      add(of_chip_ ? Source::chip : Source::demand, figure.spec);
    }
    for (const auto& figure : answer::pairing_figures()) add(Source::pairing, figure.spec);
  }

 private:
  void add(Source source, const view::FigureSpec& spec) {
    const bool chip_table = source == Source::demand || source == Source::chip;
    std::size_t& next = source == Source::model ? models_ : chip_table ? chips_ : pairings_;
    specs.push_back(spec);
    columns.push_back({source, next++});
  }

  bool of_chip_ = false;
  std::size_t models_ = 0;
  std::size_t chips_ = 0;
  std::size_t pairings_ = 0;
};

const Columns& all_columns() {
  static const Columns columns;
  return columns;
}

// A chip's roofline and price, as far as both are known.
struct AskedChip {
  const hw::ChipSpec* chip = nullptr;
  std::optional<hw::theory::RooflineChip> roofline;
  std::optional<UsdPerSecond> price;
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
  CostEvaluator(std::unique_ptr<Question> question, const EvaluatorNeeds& needs)
      : question_(std::move(question)), times_(question_->assumptions()) {
    for (const std::size_t column : needs.columns) {
      columns_.push_back(all_columns().columns[column]);
      needed_[static_cast<std::size_t>(columns_.back().source)] = true;
    }
    for (const auto resource : {hw::Resource::compute, hw::Resource::memory}) {
      bound_labels_[static_cast<std::size_t>(resource)] =
          needs.labels->intern(hw::name_of(resource));
    }
    if (question_->chip) chip_ = asked(*question_->chip->spec, *needs.labels);
    for (const auto& chip : question_->afd_chips) {
      afd_chips_.push_back(asked(*chip.spec, *needs.labels));
    }
    for (const std::string& pointer : needs.moving) {
      chips_move_ |= pointer.starts_with("/chip/") || pointer.starts_with("/afd_chips/");
      batch_moves_ |= pointer == "/batch";
    }
  }

  [[nodiscard]] JsonPlace place(std::string_view pointer) override {
    return find_place(*question_, pointer);
  }

  [[nodiscard]] std::string problem() const override {
    return models::model_problem(question_->spec()).text;
  }

  void evaluate(std::span<double> out) override {
    if (chips_move_) {
      if (chip_) look_up(*chip_);
      for (AskedChip& chip : afd_chips_) look_up(chip);
    }
    if (batch_moves_) times_ = hw::theory::TokenTimeModel(question_->assumptions());
    if (needs(Source::chip) || needs(Source::demand)) evaluate_chip();
    if (needs(Source::pairing)) evaluate_pairing();
    for (std::size_t i = 0; i < columns_.size(); ++i) out[i] = value(columns_[i]);
  }

  [[nodiscard]] std::string provenance() const override { return "theory"; }

  [[nodiscard]] std::vector<std::string> notes() const override {
    std::vector<std::string> out;
    const auto add = [&](const AskedChip& chip) {
      if (chip.roofline && chip.price) return;
      out.push_back(fmt::format(
          "{}: no cost: {}", chip.chip->name,
          hw::theory::missing_for_cost(*chip.chip, chip.chip->price(question_->price))));
    };
    if (chip_) add(*chip_);
    for (const AskedChip& chip : afd_chips_) add(chip);
    return out;
  }

 private:
  [[nodiscard]] bool needs(Source source) const {
    return needed_[static_cast<std::size_t>(source)];
  }

  AskedChip asked(const hw::ChipSpec& chip, LabelTable& labels) const {
    AskedChip out{.chip = &chip, .roofline = {}, .price = {}, .label = labels.intern(chip.name)};
    look_up(out);
    return out;
  }

  void look_up(AskedChip& chip) const {
    const hw::Price* price = chip.chip->price(question_->price);
    chip.roofline.reset();
    if (hw::theory::missing_for_time(*chip.chip).empty()) chip.roofline.emplace(*chip.chip);
    chip.price = price == nullptr ? std::nullopt : std::optional(price->rate);
  }

  void evaluate_chip() {
    const auto& model = question_->spec();
    const double context = *question_->context;
    row_.ridge_point.reset();
    row_.time.reset();
    row_.cost.reset();
    if (chip_ && needs(Source::chip)) {
      row_.ridge_point = chip_->chip->ridge_point(model.attentions.front().compute);
      if (chip_->roofline) row_.time = times_.time(model, *chip_->roofline, context);
      if (row_.time && chip_->price) row_.cost = hw::theory::cost_of(*row_.time, *chip_->price);
    }
    row_.demand = row_.time ? row_.time->demand : times_.demand(model, context);
  }

  void evaluate_pairing() {
    pairing_.best = {};
    for (std::size_t i = 0; i < afd_chips_.size(); ++i) {
      const AskedChip& chip = afd_chips_[i];
      if (!chip.roofline || !chip.price) continue;
      const auto time = times_.time(question_->spec(), *chip.roofline, *question_->context);
      pairing_.best.offer(i, hw::theory::cost_of(time, *chip.price));
    }
  }

  // Names are held as the numbers of their labels.
  [[nodiscard]] double value(Column column) const {
    switch (column.source) {
      case Source::model:
        return answer::model_figures()[column.figure].shown(question_->spec());
      case Source::demand:
      case Source::chip: {
        const auto& figure = answer::chip_figures()[column.figure];
        if (figure.label == nullptr) return figure.shown(row_);
        return row_.time ? bound_labels_[static_cast<std::size_t>(row_.time->attention_bound)]
                         : view::kUnknown;
      }
      case Source::pairing:
        break;
    }
    const auto& figure = answer::pairing_figures()[column.figure];
    if (figure.label == nullptr) return figure.shown(pairing_);
    if (!pairing_.best.found()) return view::kUnknown;
    const bool attention = &figure == &answer::pairing_figures().front();
    return afd_chips_[attention ? pairing_.best.attention_chip() : pairing_.best.ffn_chip()].label;
  }

  std::unique_ptr<Question> question_;
  std::vector<Column> columns_;
  std::array<bool, 4> needed_{};
  bool chips_move_ = false;
  bool batch_moves_ = false;
  hw::theory::TokenTimeModel times_;
  std::optional<AskedChip> chip_;
  std::vector<AskedChip> afd_chips_;
  std::array<double, 2 + static_cast<std::size_t>(hw::Resource::memory)> bound_labels_{};
  answer::ChipFigures row_;
  answer::PairingFigures pairing_;
};

void check_price(const hw::ChipSpec& chip, const JsonNode& node, const std::string& price) {
  if (price.empty() || chip.prices.empty() || chip.price(price) != nullptr) return;
  std::vector<std::string> known;
  for (const auto& entry : chip.prices) known.push_back(entry.name);
  node.error(fmt::format("has no price \"{}\"; it has {}", price, fmt::join(known, ", ")));
}

class CostEvaluatorKind final : public EvaluatorKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "cost"; }
  [[nodiscard]] std::span<const view::FigureSpec> columns() const override {
    return all_columns().specs;
  }
  [[nodiscard]] const KeyTable& keys() const override {
    return keys_of(static_cast<const Question*>(nullptr));
  }
  [[nodiscard]] std::string_view subject() const override { return "/model"; }
  [[nodiscard]] std::size_t points_per_chunk() const override { return 4096; }

  [[nodiscard]] std::string_view missing_for(std::size_t column,
                                             const JsonNode& question) const override {
    const Source source = all_columns().columns[column].source;
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
