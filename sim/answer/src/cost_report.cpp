#include "ridge/answer/cost_report.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {

namespace {

// Every list that any of these chips has.
std::vector<std::string> known_lists(const std::vector<hw::ChipSpec>& chips) {
  std::vector<std::string> lists;
  for (const auto& chip : chips) {
    for (const auto& price : chip.prices) {
      if (std::find(lists.begin(), lists.end(), price.name) == lists.end()) {
        lists.push_back(price.name);
      }
    }
  }
  return lists;
}

void check_prices(const CostQuestion& question) {
  const Prices& prices = question.prices;
  if (!prices.list.empty()) {
    const auto lists = known_lists(question.chips);
    if (std::find(lists.begin(), lists.end(), prices.list) == lists.end()) {
      throw UserError(fmt::format(
          "--price: expected a price list that one of the chips has ({}) or CHIP=USD_PER_HOUR, got "
          "\"{}\"{}",
          lists.empty() ? "none has any" : fmt::format("{}", fmt::join(lists, ", ")), prices.list,
          did_you_mean(prices.list, lists)));
    }
  }
  std::vector<std::string> names;
  for (const auto& chip : question.chips) names.push_back(chip.name);
  for (const auto& [chip, price] : prices.chosen) {
    if (std::find(names.begin(), names.end(), chip) != names.end()) continue;
    throw UserError(fmt::format("--price: expected one of the chips asked about ({}), got \"{}\"{}",
                                fmt::join(names, ", "), chip, did_you_mean(chip, names)));
  }
}

// Each token that shares a reading of the weights is a whole one.
void check_batch(const std::optional<double>& batch) {
  if (batch && !(*batch >= 1.0 && std::isfinite(*batch))) {
    throw UserError(fmt::format("batch: expected a number of at least 1, got {}", *batch));
  }
}

std::string price_words(const hw::ChipSpec& chip, const std::optional<hw::Price>& price) {
  if (!price) return fmt::format("{}: unknown", chip.name);
  return fmt::format("{}: {:g} USD/h ({}{})", chip.name, price->rate.value() * 3600.0, price->name,
                     price->source.empty() ? "" : ": " + price->source);
}

// What the reader must know about a chip before believing its row.
void add_notes(const hw::ChipSpec& chip, const CostQuestion& question,
               std::vector<std::string>& notes) {
  const auto substitute = chip.compute_for(models::Precision::fp8);
  const bool wants_fp8 = std::any_of(
      question.models.begin(), question.models.end(),
      [](const auto& model) { return model.precisions.compute == models::Precision::fp8; });
  if (wants_fp8 && substitute && *substitute != models::Precision::fp8) {
    notes.push_back(fmt::format("{} has no FP8 matrix units: 8-bit weights and KV, {} arithmetic",
                                chip.name, models::name_of(*substitute)));
  }
  std::vector<std::string_view> unconfirmed;
  if (chip.memory_bandwidth.unconfirmed) unconfirmed.push_back("memory bandwidth");
  for (const auto precision : {models::Precision::fp8, models::Precision::bf16}) {
    const auto& rate = chip.matrix_rate[static_cast<std::size_t>(precision)];
    if (rate.value && rate.unconfirmed) unconfirmed.push_back(models::name_of(precision));
  }
  if (!unconfirmed.empty()) {
    notes.push_back(
        fmt::format("{}: unconfirmed figures: {}", chip.name, fmt::join(unconfirmed, ", ")));
  }
}

}  // namespace

std::optional<hw::Price> Prices::of(const hw::ChipSpec& chip) const {
  if (const auto found = chosen.find(chip.name); found != chosen.end()) {
    return hw::Price{.name = "as given", .rate = found->second, .source = {}};
  }
  const hw::Price* listed = chip.price(list);
  return listed == nullptr ? std::nullopt : std::optional(*listed);
}

Prices parse_prices(std::string_view text, std::string_view option) {
  Prices prices;
  if (text.empty()) return prices;
  for (const std::string& part : split_list(text, option)) {
    const auto equals = part.find('=');
    if (equals == std::string::npos) {
      if (!prices.list.empty()) {
        throw UserError(fmt::format("{}: expected one price list, got \"{}\" and \"{}\"", option,
                                    prices.list, part));
      }
      prices.list = part;
      continue;
    }
    const std::string amount = part.substr(equals + 1);
    double usd = 0.0;
    const auto [end, error] = std::from_chars(amount.data(), amount.data() + amount.size(), usd);
    if (error != std::errc{} || end != amount.data() + amount.size() || !(usd > 0.0) ||
        !(usd <= 1e6)) {
      throw UserError(
          fmt::format("{}: expected USD per hour of a chip, above 0 and at most 1e6, got \"{}\"",
                      option, part));
    }
    if (!prices.chosen.emplace(part.substr(0, equals), UsdPerSecond{usd / 3600.0}).second) {
      throw UserError(fmt::format("{}: {} has two prices", option, part.substr(0, equals)));
    }
  }
  return prices;
}

CostReport answer(const CostQuestion& question) {
  check_prices(question);
  check_batch(question.assumptions.batch);
  CostReport report;
  std::vector<std::optional<hw::theory::RooflineChip>> rooflines;
  std::vector<std::optional<hw::Price>> prices;
  std::vector<std::string> reasons;
  for (const auto& chip : question.chips) {
    prices.push_back(question.prices.of(chip));
    const hw::Price* price = prices.back() ? &*prices.back() : nullptr;
    reasons.push_back(hw::theory::missing_for_cost(chip, price));
    rooflines.emplace_back();
    if (hw::theory::missing_for_time(chip).empty()) rooflines.back().emplace(chip);
    if (!reasons.back().empty()) {
      report.notes.push_back(fmt::format("{}: no cost: {}", chip.name, reasons.back()));
    }
    report.prices.push_back(price_words(chip, prices.back()));
    add_notes(chip, question, report.notes);
  }

  hw::theory::TokenTimeModel times(question.assumptions);
  for (const auto& model : question.models) {
    for (const double context : question.contexts) {
      if (std::string remark = models::context_remark(model, context); !remark.empty()) {
        report.notes.push_back(std::move(remark));
      }
      hw::theory::BestPairing best;
      for (std::size_t c = 0; c < question.chips.size(); ++c) {
        CostRow row{.model = model.name,
                    .chip = question.chips[c].name,
                    .context = context,
                    .figures = {.demand = times.demand(model, context),
                                .ridge_point =
                                    question.chips[c].ridge_point(model.attentions.front().compute),
                                .time = {},
                                .cost = {}},
                    .why_unpriced = reasons[c]};
        if (rooflines[c]) row.figures.time = times.time(model, *rooflines[c], context);
        if (row.figures.time && prices[c]) {
          row.figures.cost = hw::theory::cost_of(*row.figures.time, prices[c]->rate);
          best.offer(c, *row.figures.cost);
        }
        report.rows.push_back(std::move(row));
      }
      if (best.found()) {
        report.pairings.push_back({.model = model.name,
                                   .context = context,
                                   .figures = {question.chips[best.attention_chip()].name,
                                               question.chips[best.ffn_chip()].name, best}});
      }
    }
  }
  return report;
}

namespace {

// What a table shows of a chip, after its name.
constexpr std::array kShown = {
    "ridge_point",       "attention_bound",        "attention_us_per_token",
    "ffn_us_per_token",  "attention_usd_per_Mtok", "ffn_usd_per_Mtok",
    "total_usd_per_Mtok"};

std::string cell(const view::Figure<ChipFigures>& figure, const ChipFigures& row) {
  if (figure.label != nullptr) {
    const std::string label = figure.label(row);
    return label.empty() ? "-" : label;
  }
  const double value = figure.shown(row);
  if (std::isnan(value)) return "unknown";
  if (figure.spec.unit == "USD/Mtok") return fmt::format("{:.3f}", value);
  return figure.spec.unit == "FLOP/B" ? fmt::format("{:.0f}", value) : significant(value, 3);
}

std::string usd_words(UsdPerToken cost) {
  return fmt::format("{:.3f}", cost.value() * 1e6);
}

std::string table(const CostReport& report) {
  std::string out =
      "What a decoded token costs (theory: roofline without overheads; embeddings,\n"
      "LM head, router and norms left out). Intensity is attention FLOP per byte of KV;\n"
      "below a chip's ridge point the attention waits for memory, above it for\n"
      "arithmetic. Times are those that one token keeps one chip busy.\n";
  auto pairing = report.pairings.begin();
  for (auto row = report.rows.begin(); row != report.rows.end();) {
    auto group_end = row;
    while (group_end != report.rows.end() && group_end->model == row->model &&
           group_end->context == row->context) {
      ++group_end;
    }
    const auto& d = row->figures.demand;
    out += fmt::format(
        "\n{} at {} context\n  KV {}; attention {}, projections {}, FFN {};\n  {}\n\n", row->model,
        tokens_words(row->context), si(d.cache.value(), "B"), si(d.attention.value(), "FLOP"),
        si(d.attention_linear.value(), "FLOP"), si(d.ffn.value(), "FLOP"),
        d.cache.value() > 0.0
            ? fmt::format("intensity {} FLOP/B", significant(d.arithmetic_intensity().value()))
            : std::string("no KV"));
    view::TextTable text;
    text.column("chip", view::Align::left);
    for (const char* name : kShown) {
      const auto& figure = view::figure_named(chip_figures(), name);
      text.column(std::string(figure.spec.heading),
                  figure.label != nullptr ? view::Align::left : view::Align::right);
    }
    for (; row != group_end; ++row) {
      std::vector<std::string> cells = {row->chip};
      for (const char* name : kShown) {
        cells.push_back(cell(view::figure_named(chip_figures(), name), row->figures));
      }
      text.row(std::move(cells));
    }
    out += text.text();
    const auto& last = *(row - 1);
    if (pairing != report.pairings.end() && pairing->model == last.model &&
        pairing->context == last.context) {
      const PairingFigures& best = pairing->figures;
      out += fmt::format("AFD: attention on {}, FFN on {}: {} + {} = {} USD/Mtok\n",
                         best.attention_chip, best.ffn_chip, usd_words(best.best.attention()),
                         usd_words(best.best.ffn()), usd_words(best.best.total()));
      ++pairing;
    }
  }
  out += "\nPrices\n";
  for (const auto& price : report.prices) out += fmt::format("  {}\n", price);
  if (!report.notes.empty()) out += "\nNotes\n";
  for (const auto& note : report.notes) out += fmt::format("  {}\n", note);
  return out;
}

std::string csv(const CostReport& report) {
  const auto number = [](double x) { return fmt::format("{}", x); };
  const auto of_chip = [](const CostRow& row) {
    return view::figure_values(chip_figures(), row.figures);
  };
  std::string out;
  for (const auto& row : report.rows) {
    if (out.empty()) {
      out = view::csv_row({"model", "chip", "attention_chip", "ffn_chip", "context_tokens"},
                          view::csv_names(of_chip(row)));
    }
    out += view::csv_row({row.model, row.chip, row.chip, row.chip, number(row.context)},
                         view::csv_cells(of_chip(row)));
  }
  // A pairing has the costs alone.
  for (const auto& row : report.pairings) {
    std::vector<std::string> cells(chip_figures().size());
    const auto costs = view::csv_cells(view::figure_values(pairing_figures(), row.figures));
    std::copy(costs.end() - 3, costs.end(), cells.end() - 3);
    out += view::csv_row({row.model, "afd", costs[0], costs[1], number(row.context)}, cells);
  }
  return out;
}

}  // namespace

static const view::AnswerKeys<CostRow>& answer_keys(const CostRow* /*of*/) {
  static const view::AnswerKeys<CostRow> keys(
      {{"model", "", &CostRow::model},
       {"chip", "", &CostRow::chip},
       {"context_tokens", view::kContextWords, &CostRow::context},
       view::figures_of<CostRow>(chip_figures(), &CostRow::figures)});
  return keys;
}

static const view::AnswerKeys<PairingRow>& answer_keys(const PairingRow* /*of*/) {
  static const view::AnswerKeys<PairingRow> keys(
      {{"model", "", &PairingRow::model},
       {"context_tokens", view::kContextWords, &PairingRow::context},
       view::figures_of<PairingRow>(pairing_figures(), &PairingRow::figures)});
  return keys;
}

static const view::AnswerKeys<CostReport>& answer_keys(const CostReport* /*of*/) {
  using R = CostReport;
  static const view::AnswerKeys<R> keys(
      {{"provenance", view::kProvenanceWords, [](const R&) { return "theory"; }},
       {"rows", "Each model on each chip at each context.", &R::rows},
       {"afd",
        "For each model and context the chips that are cheapest for attention and for the FFN.",
        &R::pairings},
       {"prices", "Of each chip, with its source.", &R::prices},
       {"notes", view::kNotesWords, &R::notes}});
  return keys;
}

const view::AnswerDescription& cost_answer() {
  return answer_keys(static_cast<const CostReport*>(nullptr));
}

std::string render(const CostReport& report, view::OutputFormat format) {
  return view::written(format, report, table, csv, view::answer_json);
}

}  // namespace ridge::answer
