#include "ridge/evidence/ledger.hpp"

#include "ledger_file.hpp"
#include "ledger_parts.hpp"
#include "ridge/answer/drawn_inputs.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/evidence/serving.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/link_spec.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/scenario/kernel_choice.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/terminal.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::evidence {

namespace {

constexpr const char* kTimes = "times";  // the unit of comparisons

// The scenario of this name or path, with other values at some places.
JsonDocument changed_scenario(const std::string& reference,
                              const std::map<std::string, ChangedValue>& changes,
                              const JsonNode& entry, const char* key = "changes") {
  JsonDocument document = JsonDocument::read(scenario::scenario_path(reference));
  for (const auto& [pointer, value] : changes) {
    const JsonContext context{.file = document.name()};
    if (!JsonNode(document.json(), context).contains_pointer(pointer)) {
      entry.child(key).child(pointer).error(
          fmt::format("leads to no value of {}", document.name()));
      continue;
    }
    document.json()[nlohmann::json::json_pointer(pointer)] = value.json;
  }
  return document;
}

// A scenario with what its prediction takes of what it leaves open. Intervals draw that all the
// same.
struct OpenScenario {
  scenario::LocatedScenario located;
  scenario::OpenInputs open;
};

OpenScenario open_scenario(JsonDocument document, const std::map<std::string, ChangedValue>& taken,
                           const JsonNode& entry, scenario::Library& library,
                           const char* key = "taken") {
  OpenScenario out{.located = scenario::read_scenario(document), .open = {}};
  out.open = scenario::open_inputs(out.located, library);
  if (taken.empty()) return out;
  const scenario::InputDraws draws(scenario::ranges_of(out.located, library));
  const auto drawn = [&] {
    return draws.inputs(out.located, scenario::open_inputs(out.located, library), library).size();
  };
  for (const auto& [pointer, value] : taken) {
    const std::size_t before = drawn();
    document.json()[nlohmann::json::json_pointer(pointer)] = value.json;
    out.located = scenario::read_scenario(document);
    if (drawn() < before) continue;
    entry.child(key).child(pointer).error(
        fmt::format("is nothing that {} leaves open and intervals draw: expected it among what "
                    "is changed, or in the scenario",
                    document.name()));
  }
  return out;
}

// What a prediction is worked out from, and where its mistakes are told.
struct Asking {
  const JsonNode& node;
  const scenario::InputDraws& draws;  // from the ranges that ship
  const std::vector<std::string>& fixed;
  int samples = 0;
  scenario::Library& library;
  std::vector<scenario::DrawnInput>& drawn;  // so far, each once

  void draws_from(const scenario::DrawnInput& input) const {
    const bool told = std::any_of(drawn.begin(), drawn.end(), [&](const auto& each) {
      return each.what == input.what && each.from == input.from;
    });
    if (!told) drawn.push_back(input);
  }
  [[nodiscard]] std::string path(const std::string& reference) const {
    return scenario::reference_from(node.file(), reference);
  }
};

void predict(const DeploymentFigure& asks, const Asking& asking, LedgerRow& row) {
  const auto [located, open] =
      open_scenario(changed_scenario(asking.path(asks.scenario), asks.changes, asking.node),
                    asks.taken, asking.node, asking.library);
  const answer::SimulationReport report =
      answer::simulate(scenario::resolve(located, asking.library));
  row.provenance = report.provenance;
  row.links = report.link_provenance;
  add_stage_parts(report, row);
  const auto& figure = answer::simulation_figure(asks.quantity);
  name_figure(figure.spec, row);
  row.predicted = figure.shown(report);
  if (asking.samples == 0) return;
  // Names of nothing were told before.
  const scenario::InputDraws draws(scenario::ranges_of(located, asking.library), asking.fixed,
                                   asking.fixed);
  const answer::Uncertainty drawn =
      answer::uncertainty_of(located, asking.library, draws, asking.samples, nullptr, &open);
  row.interval = drawn.interval(figure.spec.name);
  if (drawn.samples > 0) {
    row.open = draws.with_nothing_fixed().inputs(located, open, asking.library);
  }
  for (const scenario::DrawnInput& input : drawn.inputs) {
    if (input.one_sided) row.one_sided.push_back(input.what);
    asking.draws_from(input);
  }
}

// What the two of a comparison say, once where it is the same.
std::string of_both(std::string one, const std::string& beside) {
  return one == beside ? std::move(one) : fmt::format("{}; beside it {}", one, beside);
}

// Each draw is the same for both, so that an error that they share does not count.
void predict(const ComparisonFigure& asks, const Asking& asking, LedgerRow& row) {
  constexpr const char* kFigure = "tokens_per_s_per_gpu";
  const std::array<OpenScenario, 2> both = {
      open_scenario(changed_scenario(asking.path(asks.scenario), asks.changes, asking.node),
                    asks.taken, asking.node, asking.library),
      open_scenario(changed_scenario(asking.path(asks.beside), asks.beside_changes, asking.node,
                                     "beside_changes"),
                    asks.beside_taken, asking.node, asking.library, "beside_taken")};
  const std::array<answer::SimulationReport, 2> reports = {
      answer::simulate(scenario::resolve(both[0].located, asking.library)),
      answer::simulate(scenario::resolve(both[1].located, asking.library))};
  const auto& figure = answer::simulation_figure(kFigure);
  row.unit = kTimes;
  row.predicted = figure.shown(reports[0]) / figure.shown(reports[1]);
  row.provenance = of_both(reports[0].provenance, reports[1].provenance);
  row.links = of_both(reports[0].link_provenance, reports[1].link_provenance);
  // Of theory alone no error is known, nor of a ratio to it.
  if (asking.samples == 0 || !reports[0].calibrated || !reports[1].calibrated) return;
  std::array<std::vector<double>, 2> drawn;
  for (std::size_t i = 0; i < both.size(); ++i) {
    const auto& [located, open] = both[i];
    const scenario::InputDraws draws(scenario::ranges_of(located, asking.library), asking.fixed,
                                     asking.fixed);
    drawn[i] = answer::drawn_figure(located, asking.library, draws, asking.samples, kFigure, &open);
    for (const scenario::DrawnInput& input : draws.inputs(located, open, asking.library)) {
      if (input.one_sided) row.one_sided.push_back(input.what);
      asking.draws_from(input);
    }
    for (scenario::DrawnInput& input :
         draws.with_nothing_fixed().inputs(located, open, asking.library)) {
      row.open.push_back(std::move(input));
    }
  }
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(drawn[0].size(), drawn[1].size()); ++i) {
    ratios.push_back(drawn[0][i] / drawn[1][i]);
  }
  if (!ratios.empty()) row.interval = interval_90(std::move(ratios));
}

double microseconds(const hw::KernelModel& kernels, const models::OperatorList& operators) {
  Seconds total;
  for (const auto& op : operators) total += kernels.time(op).time;
  return total.value() * 1e6;
}

// Of these operators, what attention kernels spend on query rows that only fill up their tiles.
double padding_us(const hw::KernelModel& kernels, const models::OperatorList& operators) {
  double us = 0.0;
  for (const auto& op : operators) {
    for (const hw::TimePart& part : kernels.explain(op)) {
      if (part.what == hw::kPaddingPart) us += part.time.value() * 1e6;
    }
  }
  return us;
}

// By operator; attention launches by what keeps them from the roofline.
void operator_parts(const hw::KernelModel& kernels, const models::OperatorList& operators,
                    bool filled, LedgerRow& row) {
  row.parts_unit = "us";
  double elementwise = 0.0;
  for (const auto& op : operators) {
    const double us = kernels.time(op).time.value() * 1e6;
    const auto parts = kernels.explain(op);
    if (std::holds_alternative<models::Elementwise>(op.shape)) {
      elementwise += us;
    } else if (parts.empty()) {
      row.parts.push_back({std::string(op.name), us});
    }
    for (const hw::TimePart& part : parts) {
      if (filled && part.what == hw::kPaddingPart) continue;
      row.parts.push_back({fmt::format("{}: {}", op.name, part.what), part.time.value() * 1e6});
      if (part.what == hw::kPaddingPart) row.padding += part.time.value() * 1e6;
    }
  }
  if (elementwise > 0.0) row.parts.push_back({"element-wise operators", elementwise});
}

// `filled_tiles`: as if an attention kernel's tile were no higher than the query rows.
void predict(const models::OperatorList& operators, const AskedKernels& asked, const Asking& asking,
             LedgerRow& row, bool filled_tiles = false) {
  const hw::ChipSpec chip = hw::load_chip(asking.path(asked.chip));
  const scenario::KernelChoice choice{.model = asked.kernel_model, .prefer = asked.prefer};
  const std::string& file = asking.node.file();
  const auto kernels = asking.library.kernels(choice, chip, file);
  row.unit = "us";
  row.provenance = kernels->provenance();
  const auto predicted = [&](const hw::KernelModel& each) {
    return microseconds(each, operators) - (filled_tiles ? padding_us(each, operators) : 0.0);
  };
  row.predicted = predicted(*kernels);
  operator_parts(*kernels, operators, filled_tiles, row);
  if (asking.samples == 0 || choice.model == "theoretical") return;
  std::vector<double> drawn;
  for (int i = 1; i <= asking.samples; ++i) {
    const auto draw = asking.draws.calibrations(static_cast<std::uint64_t>(i));
    drawn.push_back(predicted(*asking.library.kernels(choice, chip, file, draw)));
  }
  row.interval = interval_90(std::move(drawn));
  if (const auto releases = asking.draws.drawn_releases()) asking.draws_from(*releases);
  if (auto open = asking.draws.with_nothing_fixed().drawn_releases()) {
    row.open.push_back(std::move(*open));
  }
}

void predict(const LayerFigure& asks, const Asking& asking, LedgerRow& row) {
  const models::ModelSpec model = models::load_model(asking.path(asks.model));
  models::AttentionBlock block = model.attentions.front();
  block.cache = asks.precision;
  block.compute = asks.precision;
  models::OperatorList operators;
  models::attention_operators(block, model.precisions, model.hidden, asks.shape, asks.shard,
                              models::MlaCount::absorbed, operators);
  predict(operators, asks.kernels, asking, row, asks.filled_tiles);
}

template <typename Shape>
models::OperatorList one(std::string_view name, models::Part part, const Shape& shape) {
  models::OperatorList operators;
  operators.add(name, part, shape);
  return operators;
}

void predict(const AttentionFigure& asks, const Asking& asking, LedgerRow& row) {
  models::DecodeAttention shape = asks.shape;
  shape.compute = shape.cache;
  predict(one("attention", models::Part::attention, shape), asks.kernels, asking, row);
}

void predict(const GemmFigure& asks, const Asking& asking, LedgerRow& row) {
  models::Gemm shape = asks.shape;
  shape.compute = shape.weights;
  predict(one("product", models::Part::ffn, shape), asks.kernels, asking, row);
}

void predict(const GroupedGemmFigure& asks, const Asking& asking, LedgerRow& row) {
  models::GroupedGemm shape;
  shape.experts = asks.experts;
  shape.active_experts = static_cast<double>(asks.experts);
  shape.rows = asks.rows_per_expert * shape.active_experts;
  shape.tokens = shape.routed_rows = shape.rows;  // sorted already
  shape.n = asks.n;
  shape.k = asks.k;
  shape.weights = shape.compute = asks.precision;
  predict(one("products", models::Part::ffn, shape), asks.kernels, asking, row);
}

void predict(const ExchangeFigure& asks, const Asking& asking, LedgerRow& row) {
  models::Collective shape{.kind = models::Collective::Kind::all_to_all};
  shape.ranks = asks.gpus;
  shape.experts = asks.experts;
  shape.returning = asks.returning;
  shape.copies = static_cast<double>(asks.tokens_per_gpu * asks.top_k);
  shape.payload = Bytes{shape.copies * asks.bytes_per_copy};
  predict(one("exchange", models::Part::communication, shape), asks.kernels, asking, row);
}

void predict(const MessageFigure& asks, const Asking& /*asking*/, LedgerRow& row) {
  const hw::LinkSpec link{.bandwidth = asks.bandwidth, .latency = asks.overhead};
  row.unit = "us";
  row.provenance = "theory";
  row.predicted = link.time(Bytes{static_cast<double>(asks.bytes)}).value() * 1e6;
}

LedgerRow predict(const LedgerEntry& entry, const Asking& asking) {
  LedgerRow row;
  row.figure = entry.figure;
  row.measured = entry.measured;
  row.source = entry.source;
  row.explanation = entry.explanation;
  try {
    std::visit([&](const auto& asks) { predict(asks, asking, row); }, entry.asks);
  } catch (const UserError& e) {
    asking.node.error(e.what());
  }
  return row;
}

// Of what is drawn for rows whose scenarios have ranges of their own.
std::vector<std::string> own_names(const LedgerEntries& list, const JsonNode& node,
                                   scenario::Library& library) {
  std::vector<std::string> out;
  Diagnostics ignored;  // the rows tell of them
  const JsonContext context{.file = node.file(), .diagnostics = &ignored};
  const JsonNode entries = JsonNode(node.json(), context).child("entries");
  const auto add = [&](const std::string& reference,
                       const std::map<std::string, ChangedValue>& changes, const JsonNode& entry,
                       const char* key) {
    try {
      const std::string path = scenario::reference_from(node.file(), reference);
      const auto located = scenario::read_scenario(changed_scenario(path, changes, entry, key));
      if (!located.scenario.ranges) return;
      const auto names = scenario::InputDraws::names(*scenario::ranges_of(located, library));
      out.insert(out.end(), names.begin(), names.end());
    } catch (const UserError&) {
      return;
    }
  };
  for (std::size_t i = 0; i < list.entries.size(); ++i) {
    const JsonNode entry = entries.child(i);
    if (const auto* one = std::get_if<DeploymentFigure>(&list.entries[i].asks)) {
      add(one->scenario, one->changes, entry, "changes");
    } else if (const auto* two = std::get_if<ComparisonFigure>(&list.entries[i].asks)) {
      add(two->scenario, two->changes, entry, "changes");
      add(two->beside, two->beside_changes, entry, "beside_changes");
    }
  }
  return out;
}

std::string interval_words(const LedgerRow& row) {
  if (!row.interval) return "-";
  return fmt::format("{} to {}{}", significant(row.interval->low, 4),
                     significant(row.interval->high, 4), row.is_beside_interval() ? " *" : "");
}

// Why intervals lie to one side of their predictions.
std::string beside_words(const Ledger& ledger) {
  std::size_t beside = 0;
  std::vector<std::string> ends;
  for (const LedgerRow& row : ledger.rows) {
    if (!row.is_beside_interval()) continue;
    ++beside;
    for (const std::string& what : row.one_sided) {
      if (std::find(ends.begin(), ends.end(), what) == ends.end()) ends.push_back(what);
    }
  }
  if (beside == 0) return {};
  const bool one = beside == 1;
  return fmt::format("{} of these intervals, marked *, {} wholly to one side of {}. {}\n", beside,
                     one ? "lies" : "lie", one ? "its prediction" : "their predictions",
                     scenario::one_sided_words(ends));
}

std::string summary(const Ledger& ledger) {
  const auto worst = std::max_element(ledger.rows.begin(), ledger.rows.end(),
                                      [](const LedgerRow& a, const LedgerRow& b) {
                                        return std::abs(a.error()) < std::abs(b.error());
                                      });
  const auto within = [&](double limit) {
    return std::count_if(ledger.rows.begin(), ledger.rows.end(),
                         [&](const LedgerRow& row) { return std::abs(row.error()) <= limit; });
  };
  if (worst == ledger.rows.end()) return "No figure can be asked.\n";
  std::string out = fmt::format(
      "{} of {} within 10 %, {} within 15 %; the worst is {} ({:+.0f} %).\n", within(0.10),
      ledger.rows.size(), within(0.15), worst->figure, 100.0 * worst->error());
  std::size_t intervals = 0;
  std::size_t covered = 0;
  for (const LedgerRow& row : ledger.rows) {
    if (!row.interval) continue;
    ++intervals;
    covered += row.interval->low <= row.measured && row.measured <= row.interval->high ? 1 : 0;
  }
  if (intervals > 0) {
    out += fmt::format("{} of {} measured figures lie within their 90 % intervals.\n", covered,
                       intervals);
  }
  std::size_t compared = 0;
  std::size_t ordered = 0;
  for (const LedgerRow& row : ledger.rows) {
    if (row.unit != kTimes) continue;
    ++compared;
    ordered += (row.predicted > 1.0) == (row.measured > 1.0) ? 1 : 0;
  }
  if (compared > 0) {
    out += fmt::format("In {} of {} comparisons the faster is the one that was measured to be.\n",
                       ordered, compared);
  }
  return out + beside_words(ledger);
}

// What lines leave open and was assumed, each once with its rows.
std::string assumed_text(const Ledger& ledger) {
  std::vector<std::pair<std::string, std::vector<std::string>>> all;
  for (const LedgerRow& row : ledger.rows) {
    for (const std::string& text : row.assumed) {
      auto at =
          std::find_if(all.begin(), all.end(), [&](const auto& e) { return e.first == text; });
      if (at == all.end()) at = all.insert(at, {text, {}});
      at->second.push_back(row.id);
    }
  }
  if (all.empty()) return {};
  constexpr std::size_t kNamed = 6;
  std::string out = "\nAssumed\n";
  for (auto& [text, ids] : all) {
    const std::size_t more = ids.size() > kNamed ? ids.size() - kNamed : 0;
    ids.resize(ids.size() - more);
    const std::string whose = fmt::format("{}{}", fmt::join(ids, ", "),
                                          more > 0 ? fmt::format(" and {} more", more) : "");
    std::string_view begin = "- ";
    for (const auto& line : view::wrapped(whose + ": " + text, view::output_width() - 2)) {
      out += fmt::format("{}{}\n", begin, line);
      begin = "  ";
    }
  }
  return out;
}

std::string table(const Ledger& ledger) {
  view::TextTable text;
  text.column("figure", view::Align::left);
  text.column("measured");
  text.column("predicted");
  text.column("", view::Align::left);
  text.column("error");
  text.column("90 % interval");
  text.column("kernel times", view::Align::left);
  for (const LedgerRow& row : ledger.rows) {
    text.row(
        {row.figure, significant(row.measured, 4), significant(row.predicted, 4), row.unit,
         fmt::format("{:+.1f} %", 100.0 * row.error()), interval_words(row),
         group_errors(ledger).empty() ? provenance_letter(ledger, row) : short_provenance(row)});
  }
  return ledger.title + "\n\n" + text.text() + provenance_text(ledger) + "\n" + summary(ledger) +
         assumed_text(ledger) + tables_text(ledger) + notes_text(ledger);
}

std::string csv(const Ledger& ledger) {
  std::string out = "figure,unit,measured,predicted,error,low,high,provenance,source,explanation\n";
  for (const LedgerRow& row : ledger.rows) {
    out += view::csv_line({row.figure, row.unit, fmt::format("{}", row.measured),
                           fmt::format("{}", row.predicted), fmt::format("{}", row.error()),
                           row.interval ? fmt::format("{}", row.interval->low) : "",
                           row.interval ? fmt::format("{}", row.interval->high) : "",
                           row.provenance, row.source, row.explanation}) +
           "\n";
  }
  return out;
}

// Nothing for an empty list.
template <typename V>
std::optional<std::vector<V>> some(std::vector<V> list) {
  return list.empty() ? std::nullopt : std::optional(std::move(list));
}

}  // namespace

static const view::AnswerKeys<LedgerPart>& answer_keys(const LedgerPart* /*of*/) {
  static const view::AnswerKeys<LedgerPart> keys(
      {{"what", "", &LedgerPart::what}, {"value", "", &LedgerPart::value}});
  return keys;
}

static const view::AnswerKeys<LedgerGroup>& answer_keys(const LedgerGroup* /*of*/) {
  using G = LedgerGroup;
  static const view::AnswerKeys<G> keys({{"kind", "", &G::kind},
                                         {"model", "", &G::model},
                                         {"chip", "", &G::chip},
                                         {"engine", "", &G::engine}});
  return keys;
}

static const view::AnswerKeys<LedgerRow>& answer_keys(const LedgerRow* /*of*/) {
  using R = LedgerRow;
  static const view::AnswerKeys<R> keys(
      {{"figure", "", &R::figure},
       {"unit", "", &R::unit},
       {"measured", "", &R::measured},
       {"predicted", "", &R::predicted},
       {"error", "Predicted over measured, less one.", &R::error},
       {"time_error", "The same of the time behind the figure.", &R::time_error},
       {"interval", "90 % of the draws of calibrations and seeds.", &R::interval},
       {"provenance", view::kProvenanceWords, &R::provenance},
       {"links", view::kLinkWords, &R::links},
       {"source", "Of the measured figure.", &R::source},
       {"explanation", "Why it may be off.", &R::explanation},
       {"note", "", &R::note},
       {"parts_unit", "", &R::parts_unit},
       {"parts", "What the prediction is made of.", &R::parts},
       view::left_out<R>("group", "", [](const R& r) {
         return r.group.kind.empty() ? std::nullopt : std::optional(r.group);
       })});
  return keys;
}

static const view::AnswerKeys<GroupError>& answer_keys(const GroupError* /*of*/) {
  using G = GroupError;
  static const view::AnswerKeys<G> keys(
      {{"by", "What the rows are of: kind, model, chip, engine; all.", &G::by},
       {"name", "", &G::name},
       {"rows", "", &G::rows},
       {"median_error", "Of |error|.", &G::median},
       {"p90_error", "Of |error|.", &G::p90},
       {"worst_error", "Of |error|.", &G::worst},
       {"bias", "Median of the error.", &G::bias},
       {"intervals", "Rows with one.", &G::intervals},
       {"in_interval", "Rows that lie in theirs.", &G::covered}});
  return keys;
}

static const view::AnswerKeys<LedgerWithout>& answer_keys(const LedgerWithout* /*of*/) {
  static const view::AnswerKeys<LedgerWithout> keys(
      {{"what", "", &LedgerWithout::what}, {"groups", "", &LedgerWithout::groups}});
  return keys;
}

static const view::AnswerKeys<LedgerNote>& answer_keys(const LedgerNote* /*of*/) {
  static const view::AnswerKeys<LedgerNote> keys(
      {{"heading", "", &LedgerNote::heading}, {"points", "", &LedgerNote::points}});
  return keys;
}

static const view::AnswerKeys<LedgerGap>& answer_keys(const LedgerGap* /*of*/) {
  using G = LedgerGap;
  static const view::AnswerKeys<G> keys(
      {{"figure", "", &G::figure}, {"source", "", &G::source}, {"reason", "", &G::reason}});
  return keys;
}

static const view::AnswerKeys<Ledger>& answer_keys(const Ledger* /*of*/) {
  using L = Ledger;
  static const view::AnswerKeys<L> keys(
      {{"title", "", &L::title},
       {"comment", "What the figures have in common.", &L::comment},
       view::left_out<L>("notes", "What to know of the figures.",
                         [](const L& l) { return some(l.notes); }),
       {"rows", "", &L::rows},
       view::left_out<L>("groups", "", [](const L& l) { return some(group_errors(l)); }),
       view::left_out<L>("without", "The errors without one thing that the predictions count.",
                         [](const L& l) { return some(l.without); }),
       view::left_out<L>("drawn", "What intervals draw beside the curves of calibrations.",
                         [](const L& l) { return some(l.drawn); }),
       view::left_out<L>("left_out", "", [](const L& l) { return some(l.left_out); }),
       view::left_out<L>("warnings", "Of the question.",
                         [](const L& l) { return some(l.warnings); })});
  return keys;
}

const view::AnswerDescription& ledger_answer() {
  return answer_keys(static_cast<const Ledger*>(nullptr));
}

namespace {

const Catalog& ledgers() {
  static const Catalog catalog("the name of a ledger", "scenarios/ledger");
  return catalog;
}

Ledger read_ledger(const std::string& name_or_path, const std::string& table, int samples,
                   const GoOn& go_on, const std::vector<std::string>& fixed) {
  const JsonDocument document = JsonDocument::read(ledgers().resolve(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  const JsonNode node(document.json(), context);
  LedgerFile file;
  read_keys(node, file);
  const auto* serving = std::get_if<LedgerServing>(&file.figures);
  diagnostics.throw_if_errors();
  Ledger ledger;
  ledger.title = file.title;
  ledger.comment = file.comment;
  ledger.notes = file.notes;
  scenario::Library library;
  const auto* list = std::get_if<LedgerEntries>(&file.figures);
  const scenario::InputDraws draws(library.ranges(), fixed,
                                   list == nullptr || fixed.empty()
                                       ? std::vector<std::string>()
                                       : own_names(*list, node, library));
  if (list != nullptr) {
    const auto count = static_cast<double>(list->entries.size());
    for (std::size_t i = 0; i < list->entries.size(); ++i) {
      if (go_on && !go_on(static_cast<double>(i) / count)) return ledger;
      const JsonNode entry = node.child("entries").child(i);
      ledger.rows.push_back(
          predict(list->entries[i], {entry, draws, fixed, samples, library, ledger.drawn}));
    }
    diagnostics.throw_if_errors();
    return ledger;
  }
  const ServingTerms& terms = serving->serving;
  if (!table.empty()) {
    ledger.title = fmt::format("How far off is Ridge from {}?",
                               std::filesystem::path(table).filename().string());
    ledger.comment =
        "Serving measurements beside what Ridge predicts, read on the terms of the shipped ledger; "
        "nothing was fitted to them.";
    ledger.notes.clear();
  }
  const std::string path =
      table.empty() ? (std::filesystem::path(document.name()).parent_path() / terms.rows).string()
                    : table;
  const std::vector<ServingRow> measured = read_serving_table(path);
  // The table once as it is, and once without each of the things that the predictions count.
  const auto passes = static_cast<double>(1 + serving_mechanisms().size());
  double pass = 0.0;
  const GoOn within_pass = [&](double share) { return !go_on || go_on((pass + share) / passes); };
  if (!predict_serving(measured, path, terms, draws, samples, library, true, ledger, within_pass)) {
    return ledger;
  }
  for (const ServingMechanism& mechanism : serving_mechanisms()) {
    pass += 1.0;
    ServingTerms less = terms;
    mechanism.without(less);
    Ledger other;
    if (!predict_serving(measured, path, less, draws, 0, library, false, other, within_pass))
      return ledger;
    ledger.without.push_back({std::string(mechanism.name), group_errors(other)});
  }
  return ledger;
}

// Of what was to stay fixed and no row draws.
void warn_of_fixed(const std::vector<std::string>& fixed, int samples, Ledger& ledger) {
  std::vector<scenario::DrawnInput> open;
  for (const LedgerRow& row : ledger.rows)
    open.insert(open.end(), row.open.begin(), row.open.end());
  ledger.warnings = scenario::fixed_in_vain(
      fixed, open, samples == 0 ? "no intervals are asked for" : "no figure leaves it open");
}

}  // namespace

const std::vector<std::string>& ledger_names() {
  return ledgers().names();
}

const KeyTable& ledger_keys() {
  return keys_of(static_cast<const LedgerFile*>(nullptr));
}

Ledger predict_ledger(const std::string& name_or_path, int samples, const GoOn& go_on,
                      const std::vector<std::string>& fixed) {
  Ledger ledger = read_ledger(name_or_path, {}, samples, go_on, fixed);
  warn_of_fixed(fixed, samples, ledger);
  return ledger;
}

Ledger predict_serving_table(const std::string& path, int samples, const GoOn& go_on,
                             const std::vector<std::string>& fixed) {
  Ledger ledger = read_ledger("serving", path, samples, go_on, fixed);
  warn_of_fixed(fixed, samples, ledger);
  return ledger;
}

std::string render(const Ledger& ledger, view::OutputFormat format) {
  return view::written(format, ledger, table, csv, view::answer_json);
}

std::vector<std::string> write_scenarios(const Ledger& ledger, const std::string& folder) {
  const bool any = std::any_of(ledger.rows.begin(), ledger.rows.end(),
                               [](const LedgerRow& row) { return !row.scenarios.empty(); });
  if (!any) {
    throw UserError(
        "no row of this ledger is a line of serving that was simulated: expected the ledger "
        "\"serving\", or a table with --serving");
  }
  make_folder(folder);
  std::vector<std::string> out;
  std::set<std::string> taken;  // ids that differ may be alike as names of files
  for (const LedgerRow& row : ledger.rows) {
    std::string stem = file_name_of(row.id);
    if (stem.empty()) stem = "line";
    for (std::size_t i = 0; i < row.scenarios.size(); ++i) {
      const std::string which = row.scenarios.size() > 1 ? fmt::format("-{}", i + 1) : "";
      std::string name = stem + which;
      for (int more = 2; !taken.insert(name).second; ++more) {
        name = fmt::format("{}{}.{}", stem, which, more);
      }
      out.push_back((std::filesystem::path(folder) / (name + ".json")).string());
      write_file(out.back(), row.scenarios[i]);
    }
  }
  return out;
}

namespace {

constexpr double kWorthASentence = 0.05;

// What a prediction is made of, greatest part first.
std::string parts_table(const LedgerRow& row) {
  std::vector<LedgerPart> parts = row.parts;
  std::stable_sort(parts.begin(), parts.end(), [](const LedgerPart& a, const LedgerPart& b) {
    return std::abs(a.value) > std::abs(b.value);
  });
  double total = 0.0;
  for (const LedgerPart& part : parts) total += part.value;
  std::string out = fmt::format("\n### {}\n\nMeasured {} {}, predicted {} ({:+.1f} %).\n",
                                row.figure, significant(row.measured, 4), row.unit,
                                significant(row.predicted, 4), 100.0 * row.error());
  if (row.padding > kWorthASentence * row.predicted) {
    const double filled = row.predicted - row.padding;
    out += fmt::format("A kernel whose tile the query heads just fill: {} ({:+.1f} %).\n",
                       significant(filled, 4), 100.0 * (filled / row.measured - 1.0));
  }
  out += fmt::format("\n| part | {} | share |\n| --- | ---: | ---: |\n", row.parts_unit);
  for (const LedgerPart& part : parts) {
    if (std::abs(part.value) < 0.0005 * total) continue;
    out += fmt::format("| {} | {} | {:.1f} % |\n", part.what, significant(part.value, 3),
                       100.0 * part.value / total);
  }
  return out;
}

}  // namespace

namespace {

std::string page_head(const Ledger& ledger, const std::string& command) {
  return fmt::format(
      "# {}\n\n{}\n\nThis page is made by\n\n    {}\n\n"
      "*90 % interval*: where 90 % of the predictions fall when every calibrated curve is "
      "drawn\nagain: its parameters within what the fit leaves open, and a common factor, as wide "
      "as 90 % of the\nheld-out measurements need, and wider where it answers for what it was not "
      "fitted on{}.\n",
      ledger.title, ledger.comment, command,
      ledger.drawn.empty()
          ? ""
          : "; and\nwhat nothing tells, from the ranges [below](#what-intervals-draw)");
}

// "attention 4.51, FFN 5.04".
std::string parts_words(const LedgerRow& row) {
  std::vector<std::string> parts;
  for (const LedgerPart& part : row.parts) {
    parts.push_back(fmt::format("{} {}", part.what, significant(part.value, 3)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Of many rows: what they say together first.
std::string grouped_page(const Ledger& ledger, const std::string& command) {
  std::string out = page_head(ledger, command) + "\n" + summary(ledger) + tables_page(ledger) +
                    notes_page(ledger) + provenance_page(ledger);
  out +=
      "\n## Every figure\n\nParts in ms of a step's critical path.\n\n"
      "| figure | engine | measured | predicted | error | 90 % interval | kernel times | parts | "
      "notes | source |\n"
      "| --- | --- | ---: | ---: | ---: | ---: | --- | --- | --- | --- |\n";
  for (const LedgerRow& row : ledger.rows) {
    out += fmt::format("| {} | {} | {} {} | {} | {:+.1f} % | {} | {} | {} | {} | {} |\n",
                       row.figure, row.group.engine, significant(row.measured, 4), row.unit,
                       significant(row.predicted, 4), 100.0 * row.error(), interval_words(row),
                       short_provenance(row), parts_words(row), row.note, row.source);
  }
  return out;
}

}  // namespace

std::string ledger_page(const Ledger& ledger, const std::string& command) {
  if (!group_errors(ledger).empty()) return grouped_page(ledger, command);
  std::string out = page_head(ledger, command);
  out += fmt::format(
      "\nOf *kernel times* the letter tells [what they rest on](#what-the-predictions-rest-on).\n\n"
      "| figure | measured | predicted | error | 90 % interval | kernel times |\n"
      "| --- | ---: | ---: | ---: | ---: | --- |\n");
  for (const LedgerRow& row : ledger.rows) {
    out += fmt::format("| {} | {} {} | {} | {:+.1f} % | {} | {} |\n", row.figure,
                       significant(row.measured, 4), row.unit, significant(row.predicted, 4),
                       100.0 * row.error(), interval_words(row), provenance_letter(ledger, row));
  }
  out += "\n" + summary(ledger) + tables_page(ledger) + notes_page(ledger) +
         provenance_page(ledger) + "\n## Why\n\n";
  for (const LedgerRow& row : ledger.rows) {
    out += fmt::format("- **{}** ({}; {:+.1f} %): {}\n", row.figure, row.source,
                       100.0 * row.error(), row.explanation);
  }
  out += fmt::format(
      "\n## What the predictions are made of\n\n"
      "Of every figure that is more than {:.0f} % off: the predicted time by part, computed by the "
      "models.\nAn attention launch is told by what keeps it from the roofline: how much shorter "
      "it "
      "would be, first\nwithout the query rows that pad the kernel's tile, then with arithmetic at "
      "the data sheet's rate,\nthen with memory at its bandwidth.\n",
      100.0 * kExplainedInParts);
  for (const LedgerRow& row : ledger.rows) {
    if (std::abs(row.error()) > kExplainedInParts && row.parts.size() > 1) out += parts_table(row);
  }
  return out;
}

}  // namespace ridge::evidence
