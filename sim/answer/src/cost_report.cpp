#include "ridge/answer/cost_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

double per_million(UsdPerToken cost) {
  return cost.value() * 1e6;
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

CostReport answer(const CostQuestion& question) {
  CostReport report;
  for (const auto& model : question.models) report.model_titles.push_back(model.title);
  for (const auto& chip : question.chips) report.chip_titles.push_back(chip.title);

  std::vector<std::optional<hw::theory::PricedChip>> priced;
  std::vector<std::string> reasons;
  for (const auto& chip : question.chips) {
    const hw::Price* price = chip.price(question.price);
    reasons.push_back(hw::theory::missing_for_cost(chip, price));
    priced.emplace_back();
    if (reasons.back().empty()) {
      priced.back().emplace(chip, price->rate);
    } else {
      report.notes.push_back(fmt::format("{}: no cost: {}", chip.name, reasons.back()));
    }
    add_notes(chip, question, report.notes);
  }

  hw::theory::TokenCostModel costs(question.assumptions);
  for (const auto& model : question.models) {
    for (const double context : question.contexts) {
      hw::theory::BestPairing best;
      for (std::size_t c = 0; c < question.chips.size(); ++c) {
        CostRow row{.model = model.name,
                    .chip = question.chips[c].name,
                    .context = context,
                    .demand = costs.demand(model, context),
                    .ridge_point = question.chips[c].ridge_point(model.attentions.front().compute),
                    .cost = {},
                    .why_unpriced = reasons[c]};
        if (priced[c]) {
          row.cost = costs.cost(model, *priced[c], context);
          best.offer(c, *row.cost);
        }
        report.rows.push_back(std::move(row));
      }
      if (best.found()) {
        report.afd.push_back({.model = model.name,
                              .context = context,
                              .attention_chip = question.chips[best.attention_chip()].name,
                              .ffn_chip = question.chips[best.ffn_chip()].name,
                              .attention = best.attention(),
                              .ffn = best.ffn()});
      }
    }
  }
  return report;
}

namespace {

std::string usd_words(UsdPerToken cost) {
  return fmt::format("{:.3f}", per_million(cost));
}

std::string table(const CostReport& report) {
  std::string out =
      "What a decoded token costs (theory: roofline without overheads; embeddings, LM head,\n"
      "router and norms left out). Intensity is attention FLOP per byte of KV; below a chip's\n"
      "ridge point the attention waits for memory, above it for arithmetic.\n";
  auto afd = report.afd.begin();
  for (auto row = report.rows.begin(); row != report.rows.end();) {
    auto group_end = row;
    while (group_end != report.rows.end() && group_end->model == row->model &&
           group_end->context == row->context) {
      ++group_end;
    }
    const auto& d = row->demand;
    out += fmt::format(
        "\n{} at {} context\n  KV {}; attention {}, projections {}, FFN {}; {}\n\n", row->model,
        tokens_words(row->context), si(d.cache.value(), "B"), si(d.attention.value(), "FLOP"),
        si(d.attention_linear.value(), "FLOP"), si(d.ffn.value(), "FLOP"),
        d.cache.value() > 0.0
            ? fmt::format("intensity {} FLOP/B", significant(d.arithmetic_intensity().value()))
            : std::string("no KV"));
    view::TextTable text;
    text.column("chip", view::Align::left);
    text.column("ridge\nFLOP/B");
    text.column("intensity\n/ ridge");
    text.column("attention\nwaits for", view::Align::left);
    text.column("attention\nUSD/Mtok");
    text.column("FFN\nUSD/Mtok");
    text.column("total\nUSD/Mtok");
    for (; row != group_end; ++row) {
      const auto ridge = row->ridge_point;
      const bool comparable = ridge && d.cache.value() > 0.0;
      text.row({row->chip, ridge ? fmt::format("{:.0f}", ridge->value()) : "unknown",
                comparable ? significant(d.arithmetic_intensity() / *ridge, 2) : "-",
                row->cost ? std::string(name_of(row->cost->attention_bound)) : "-",
                row->cost ? usd_words(row->cost->attention) : "unknown",
                row->cost ? usd_words(row->cost->ffn) : "unknown",
                row->cost ? usd_words(row->cost->total()) : "unknown"});
    }
    const auto& last = *(row - 1);
    if (afd != report.afd.end() && afd->model == last.model && afd->context == last.context) {
      text.rule();
      text.row({fmt::format("AFD: {} + {}", afd->attention_chip, afd->ffn_chip), "", "", "",
                usd_words(afd->attention), usd_words(afd->ffn), usd_words(afd->total())});
      ++afd;
    }
    out += text.text();
  }
  if (!report.notes.empty()) out += "\nNotes\n";
  for (const auto& note : report.notes) out += fmt::format("  {}\n", note);
  return out;
}

std::string csv(const CostReport& report) {
  std::string out =
      "model,chip,attention_chip,ffn_chip,context_tokens,kv_bytes,attention_flop,linear_flop,"
      "ffn_flop,arithmetic_intensity,ridge_point,attention_bound,attention_usd_per_Mtok,"
      "ffn_usd_per_Mtok,total_usd_per_Mtok\n";
  const auto number = [](double x) { return fmt::format("{}", x); };
  for (const auto& row : report.rows) {
    const auto& d = row.demand;
    out += view::csv_line({row.model, row.chip, row.chip, row.chip, number(row.context),
                           number(d.cache.value()), number(d.attention.value()),
                           number(d.attention_linear.value()), number(d.ffn.value()),
                           d.cache.value() > 0.0 ? number(d.arithmetic_intensity().value()) : "",
                           row.ridge_point ? number(row.ridge_point->value()) : "",
                           row.cost ? std::string(name_of(row.cost->attention_bound)) : "",
                           row.cost ? number(per_million(row.cost->attention)) : "",
                           row.cost ? number(per_million(row.cost->ffn)) : "",
                           row.cost ? number(per_million(row.cost->total())) : ""}) +
           "\n";
  }
  for (const auto& row : report.afd) {
    out += view::csv_line({row.model, "afd", row.attention_chip, row.ffn_chip, number(row.context),
                           "", "", "", "", "", "", "", number(per_million(row.attention)),
                           number(per_million(row.ffn)), number(per_million(row.total()))}) +
           "\n";
  }
  return out;
}

std::string json(const CostReport& report) {
  using Json = nlohmann::ordered_json;
  const auto optional = [](const auto& value, auto&& get) {
    return value ? Json(get(*value)) : Json(nullptr);
  };
  Json rows = Json::array();
  for (const auto& row : report.rows) {
    const auto& d = row.demand;
    rows.push_back(
        {{"model", row.model},
         {"chip", row.chip},
         {"context_tokens", row.context},
         {"kv_bytes", d.cache.value()},
         {"attention_flop", d.attention.value()},
         {"linear_flop", d.attention_linear.value()},
         {"ffn_flop", d.ffn.value()},
         {"arithmetic_intensity",
          d.cache.value() > 0.0 ? Json(d.arithmetic_intensity().value()) : Json(nullptr)},
         {"ridge_point", optional(row.ridge_point, [](auto x) { return x.value(); })},
         {"attention_bound",
          optional(row.cost, [](const auto& c) { return name_of(c.attention_bound); })},
         {"attention_usd_per_Mtok",
          optional(row.cost, [](const auto& c) { return per_million(c.attention); })},
         {"ffn_usd_per_Mtok", optional(row.cost, [](const auto& c) { return per_million(c.ffn); })},
         {"total_usd_per_Mtok",
          optional(row.cost, [](const auto& c) { return per_million(c.total()); })}});
  }
  Json afd = Json::array();
  for (const auto& row : report.afd) {
    afd.push_back({{"model", row.model},
                   {"context_tokens", row.context},
                   {"attention_chip", row.attention_chip},
                   {"ffn_chip", row.ffn_chip},
                   {"attention_usd_per_Mtok", per_million(row.attention)},
                   {"ffn_usd_per_Mtok", per_million(row.ffn)},
                   {"total_usd_per_Mtok", per_million(row.total())}});
  }
  return Json{{"provenance", "theory"}, {"rows", rows}, {"afd", afd}, {"notes", report.notes}}.dump(
             2) +
         "\n";
}

}  // namespace

std::string render(const CostReport& report, view::OutputFormat format) {
  switch (format) {
    case view::OutputFormat::csv:
      return csv(report);
    case view::OutputFormat::json:
      return json(report);
    case view::OutputFormat::table:
      break;
  }
  return table(report);
}

}  // namespace ridge::answer
