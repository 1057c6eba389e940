#include "ridge/answer/fit_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {

using hw::theory::AttentionFit;
using hw::theory::FfnFit;
using hw::theory::FitAssumptions;
using hw::theory::FitLimit;

namespace {

void note_unconfirmed(const hw::ChipSpec& chip, std::vector<std::string>& notes) {
  if (chip.memory_bandwidth.unconfirmed) {
    notes.push_back(fmt::format("{}: its memory bandwidth is unconfirmed", chip.name));
  }
  const auto precision = chip.compute_for(models::Precision::fp8);
  if (precision && chip.matrix_rate[static_cast<std::size_t>(*precision)].unconfirmed) {
    notes.push_back(fmt::format("{}: its matrix rate is unconfirmed", chip.name));
  }
  if (chip.nic_bandwidth.value && chip.nic_bandwidth.unconfirmed) {
    notes.push_back(fmt::format("{}: its NIC bandwidth is unconfirmed", chip.name));
  }
  if (!chip.nic_bandwidth.value) {
    notes.push_back(fmt::format("{}: NIC bandwidth unknown, so not checked", chip.name));
  }
  if (!chip.memory.value) {
    notes.push_back(fmt::format("{}: memory capacity unknown, so not checked", chip.name));
  }
}

std::string batch_words(const std::optional<double>& batch) {
  return batch ? fmt::format("{:.0f}", *batch) : "unknown";
}

std::string attention_table(const FitReport& report) {
  const FitAssumptions& a = report.assumptions;
  std::string out = fmt::format(
      "\nAttention: sequences of {} tokens per card and micro-batch, by each resource\n\n",
      tokens_words(a.context));
  view::TextTable text;
  text.column("chip", view::Align::left);
  text.column("bytes\nper layer");
  text.column("of these\nweights");
  text.column("memory\nbandwidth");
  text.column("arith-\nmetic");
  text.column("memory\ncapacity");
  text.column("network");
  text.column("fits\nper card", view::Align::left);
  std::string reasons;
  for (const auto& row : report.rows) {
    if (!row.attention) {
      text.row({row.chip, "-", "-", "-", "-", "-", "-", row.unknown});
      continue;
    }
    const AttentionFit& fit = *row.attention;
    text.row({row.chip, si(fit.bytes_in_budget.value(), "B"), si(fit.weights_read.value(), "B"),
              batch_words(fit.limits[0].batch), batch_words(fit.limits[1].batch),
              batch_words(fit.limits[2].batch), batch_words(fit.limits[3].batch),
              fit.fits ? fmt::format("{:.0f}", fit.batch) : "no"});
    if (!fit.fits) {
      reasons += fmt::format("  {}: no: {}\n", row.chip, fit.why_not);
    } else {
      reasons += fmt::format("  {}: bound by {}; {} tokens of cache per layer", row.chip, fit.bound,
                             si(fit.cached_tokens, ""));
      reasons += a.micro_batch
                     ? fmt::format("; {} cards for {:.0f} sequences\n", fit.cards, *a.micro_batch)
                     : std::string("\n");
    }
  }
  return out + text.text() + "\n" + reasons;
}

std::string ffn_table(const FitReport& report) {
  std::string out = fmt::format(
      "\nFFN: cards that read all weights in {:.0f} % of the stage, in whole servers, and the\n"
      "micro-batch that each resource of theirs allows\n\n",
      100.0 * report.assumptions.weights_share);
  view::TextTable text;
  text.column("chip", view::Align::left);
  text.column("weights");
  text.column("one card\nreads");
  text.column("servers");
  text.column("cards");
  text.column("arith-\nmetic");
  text.column("network");
  text.column("wanted for\nfull use");
  text.column("fits", view::Align::left);
  std::string reasons;
  for (const auto& row : report.rows) {
    if (!row.ffn) {
      text.row({row.chip, "-", "-", "-", "-", "-", "-", "-", row.unknown});
      continue;
    }
    const FfnFit& fit = *row.ffn;
    text.row({row.chip, si(fit.weights.value(), "B"), si(fit.card_share.value(), "B"),
              fmt::format("{}", fit.servers), fmt::format("{}", fit.cards),
              batch_words(fit.limits[0].batch), batch_words(fit.limits[1].batch),
              fmt::format("{:.0f}", fit.wanted_batch), fit.fits ? "yes" : "no"});
    reasons +=
        fmt::format("  {}: cards set by {}; micro-batch up to {:.0f} tokens, bound by {}{}\n",
                    row.chip, fit.bound, fit.micro_batch, fit.micro_batch_bound,
                    fit.fits ? std::string() : "; no: " + fit.why_not);
  }
  return out + text.text() + "\n" + reasons;
}

std::string table(const FitReport& report) {
  std::string out = fmt::format(
      "Can a chip serve {} within a pipeline stage of {} ms ({} us per layer)?\n"
      "Theory: every resource at its data-sheet rate, checked by itself\n"
      "(arXiv 2507.19427 section 6).\n",
      report.model, significant(report.assumptions.stage_budget.value() * 1e3),
      significant(report.assumptions.stage_budget.value() * 1e6 /
                  static_cast<double>(report.layers)));
  bool attention = false;
  bool ffn = false;
  for (const auto& row : report.rows) {
    attention = attention || row.attention;
    ffn = ffn || row.ffn;
  }
  if (attention) out += attention_table(report);
  if (ffn) out += ffn_table(report);
  if (!attention && !ffn) {
    for (const auto& row : report.rows) out += fmt::format("\n  {}: {}\n", row.chip, row.unknown);
  }
  if (!report.notes.empty()) out += "\nNotes\n";
  for (const auto& note : report.notes) out += fmt::format("  {}\n", note);
  return out;
}

using Json = nlohmann::ordered_json;

Json limits_json(const std::vector<FitLimit>& limits) {
  Json out = Json::object();
  for (const auto& limit : limits) {
    out[limit.resource] = limit.batch ? Json(*limit.batch) : Json(nullptr);
  }
  return out;
}

Json attention_json(const AttentionFit& fit) {
  return {{"fits", fit.fits},
          {"why_not", fit.fits ? Json(nullptr) : Json(fit.why_not)},
          {"layer_budget_us", fit.layer_budget.value() * 1e6},
          {"bytes_per_layer", fit.bytes_in_budget.value()},
          {"weight_bytes_per_layer", fit.weights_read.value()},
          {"cache_bytes_per_layer", fit.cache_left.value()},
          {"cache_bytes_per_token_and_layer", fit.cache_per_token.value()},
          {"cached_tokens", fit.cached_tokens},
          {"sequences_by_resource", limits_json(fit.limits)},
          {"sequences_per_card", fit.batch},
          {"bound", fit.bound},
          {"cards", fit.cards}};
}

Json ffn_json(const FfnFit& fit) {
  return {{"fits", fit.fits},
          {"why_not", fit.fits ? Json(nullptr) : Json(fit.why_not)},
          {"weight_bytes", fit.weights.value()},
          {"weight_bytes_per_card", fit.card_share.value()},
          {"servers", fit.servers},
          {"cards", fit.cards},
          {"bound", fit.bound},
          {"tokens_by_resource", limits_json(fit.limits)},
          {"micro_batch", fit.micro_batch},
          {"micro_batch_bound", fit.micro_batch_bound},
          {"micro_batch_for_full_mfu", fit.wanted_batch}};
}

std::string json(const FitReport& report) {
  Json rows = Json::array();
  for (const auto& row : report.rows) {
    Json entry{{"chip", row.chip}};
    if (!row.unknown.empty()) entry["unknown"] = row.unknown;
    if (row.attention) entry["attention"] = attention_json(*row.attention);
    if (row.ffn) entry["ffn"] = ffn_json(*row.ffn);
    rows.push_back(std::move(entry));
  }
  const FitAssumptions& a = report.assumptions;
  return Json{{"provenance", "theory"},
              {"model", report.model},
              {"stage_budget_ms", a.stage_budget.value() * 1e3},
              {"context_tokens", a.context},
              {"micro_batches", a.micro_batches},
              {"weights_share", a.weights_share},
              {"rows", rows},
              {"notes", report.notes}}
             .dump(2) +
         "\n";
}

}  // namespace

FitReport answer(const FitQuestion& question) {
  FitReport report{.model = question.model.name,
                   .layers = question.model.layers(),
                   .assumptions = question.assumptions,
                   .rows = {},
                   .notes = {}};
  for (const auto& chip : question.chips) {
    FitRow row{.chip = chip.name,
               .chips_per_server = chip.chips_per_server.value.value_or(0),
               .unknown = hw::theory::missing_for_fit(chip),
               .attention = {},
               .ffn = {}};
    if (row.unknown.empty()) {
      if (question.attention) {
        row.attention = hw::theory::fit_attention(question.model, chip, question.assumptions);
      }
      if (question.ffn) {
        row.ffn = hw::theory::fit_ffn(question.model, chip, question.assumptions);
      }
      note_unconfirmed(chip, report.notes);
    }
    report.rows.push_back(std::move(row));
  }
  return report;
}

std::string render(const FitReport& report, view::OutputFormat format) {
  return format == view::OutputFormat::json ? json(report) : table(report);
}

}  // namespace ridge::answer
