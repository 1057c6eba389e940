#include "file.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"

#include <array>

#include <nlohmann/json.hpp>

namespace ridge::evidence {
namespace {

constexpr std::array<Named<models::MessageCount>, 2> kMessageCounts = {
    {{"whole", models::MessageCount::whole}, {"values", models::MessageCount::values}}};
constexpr std::array<Named<models::MlaCount>, 2> kMlaCounts = {
    {{"absorbed", models::MlaCount::absorbed}, {"step3", models::MlaCount::step3}}};

class PrintedType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    auto& figure = static_cast<Printed*>(out)->figure;
    if (node.json().is_null()) return true;
    if (node.read(figure.emplace())) return true;
    figure.reset();
    return false;
  }
  void write(const void* value, OrderedJson& out) const override {
    const auto& figure = static_cast<const Printed*>(value)->figure;
    out = figure ? OrderedJson(*figure) : OrderedJson();
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = {"number", "null"};
  }
  [[nodiscard]] std::string words() const override { return "a number, or null"; }
};

}  // namespace

static JsonTypePtr json_type_of(const Printed* /*of*/, std::string_view /*key*/) {
  return std::make_shared<PrintedType>();
}

namespace {

// Beside a question's own keys.
template <typename T>
std::vector<Key<T>> with_question(std::vector<Key<T>> own) {
  const KeyTable questions =
      keys_of(static_cast<const CellQuestion*>(nullptr)).under(keys::member_access<&T::question>());
  for (const KeyEntry& entry : questions.entries()) own.push_back({entry});
  return own;
}

}  // namespace

static const KeyTable& keys_of(const Slip* /*of*/) {
  static const KeyTable table = key_table<Slip>(
      "slip", "A figure that the report itself has wrong. An error where ours agrees with it.",
      {
          key<&Slip::row>("row", "Its name."),
          key<&Slip::column>("column", "Its name."),
          key<&Slip::why>("why", "What is wrong."),
      });
  return table;
}

static const KeyTable& keys_of(const FileColumn* /*of*/) {
  static const KeyTable table = key_table<FileColumn>(
      "column", "What all figures of a column ask.",
      with_question<FileColumn>({key<&FileColumn::name>("name", "As the report has it.")}));
  return table;
}

static const KeyTable& keys_of(const FileRow* /*of*/) {
  static const KeyTable table =
      key_table<FileRow>(
          "row", "Figures, and what they ask.",
          with_question<FileRow>({
              key<&FileRow::name>("name", "As the report has it."),
              key<&FileRow::paper>("paper",
                                   "One figure for each column, in the report's unit; null where "
                                   "it prints none."),
          }))
          .commented();
  return table;
}

static const KeyTable& keys_of(const FileTable* /*of*/) {
  using T = FileTable;
  static const KeyTable table =
      key_table<T>("table", "A table of the report.",
                   with_question<T>({
                       key<&T::id>("id", "Where it stands in the report."),
                       key<&T::title>("title", "As the report has it."),
                       key<&T::part>("part", "Tells apart the blocks of one table.").optional(),
                       key<&T::slips>("slips", "").optional(),
                       key<&T::columns>("columns", ""),
                       key<&T::rows>("rows", ""),
                   }))
          .commented();
  return table;
}

static const KeyTable& keys_of(const ReproductionAssumptions* /*of*/) {
  using A = ReproductionAssumptions;
  using hw::theory::CostAssumptions;
  using hw::theory::FitAssumptions;
  static const KeyTable table = key_table<A>(
      "assumptions", "How the report counts, where that is a choice.",
      {
          key_in<&A::cost, &CostAssumptions::mla_count>(
              "mla_count",
              "step3 counts MLA's value product over kv_rank + rope values; absorbed over kv_rank, "
              "as kernels do.",
              std::span<const Named<models::MlaCount>>(kMlaCounts)),
          key_in<&A::fit, &FitAssumptions::messages>(
              "message_count",
              "What a token weighs on its way to the FFN: whole counts values, scales, expert "
              "numbers and weights, as deployments send them; values counts values alone.",
              std::span<const Named<models::MessageCount>>(kMessageCounts)),
          key<&A::tpot>("tpot_ms", "Time per output token."),
          key<&A::stages>("stages", "Of the pipeline that share it.", between(1, 64)),
          key_in<&A::fit, &FitAssumptions::weights_share>(
              "ffn_weights_share", "Of an FFN stage, spent on reading weights.", between(0.01, 1))
              .optional(),
          key<&A::afd_chips>("afd_chips", "That an attention-FFN pairing chooses from.").optional(),
          key<&A::compared_models>("compared_models", "That cost_rank ranks among.").optional(),
      });
  return table;
}

const KeyTable& keys_of(const ReproductionFile* /*of*/) {
  using F = ReproductionFile;
  static const KeyTable table =
      key_table<F>(
          "",
          "The figures of a published report, as printed, and what each of them asks; "
          "ridge reproduce puts ours beside them. A table's question is refined by its "
          "columns and these by its rows.",
          {
              key_of_all<F>("kind", "",
                            keys::constant("reproduction", "a scenario of kind \"reproduction\"")),
              key<&F::title>("title", "The report's."),
              key<&F::source>("source", "Where it was published."),
              key<&F::assumptions>("assumptions", ""),
              key<&F::tables>("tables", ""),
          })
          .file("reproduction");
  return table;
}

}  // namespace ridge::evidence
