#include "ridge/answer/sparsity_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {

using hw::theory::FfnTraffic;

namespace {

void note_unconfirmed(const hw::ChipSpec& chip, const SparsityQuestion& question,
                      std::vector<std::string>& notes) {
  const auto precision = chip.compute_for(question.traffic.compute);
  const bool rate = precision && chip.matrix_rate[static_cast<std::size_t>(*precision)].unconfirmed;
  const bool nic = !question.assumptions.nic_bandwidth && chip.nic_bandwidth.unconfirmed;
  if (rate) notes.push_back(fmt::format("{}: its matrix rate is unconfirmed", chip.name));
  if (nic) notes.push_back(fmt::format("{}: its NIC bandwidth is unconfirmed", chip.name));
}

}  // namespace

SparsityReport answer(const SparsityQuestion& question) {
  SparsityReport report{.traffic = question.traffic,
                        .stage_budget = question.assumptions.stage_budget,
                        .rows = {},
                        .notes = {}};
  for (const auto& chip : question.chips) {
    SparsityRow row{
        .chip = chip.name,
        .unknown = hw::theory::missing_for_sparsity(question.traffic, chip, question.assumptions),
        .bound = {}};
    if (row.unknown.empty()) {
      row.bound = hw::theory::sparsity_bound(question.traffic, chip, question.assumptions);
    }
    report.rows.push_back(std::move(row));
    note_unconfirmed(chip, question, report.notes);
  }
  return report;
}

namespace {

std::string verdict(const FfnTraffic& traffic, const SparsityRow& row) {
  if (row.bound.min_sparsity > 1.0) return "no sparsity will do";
  if (traffic.experts <= 1.0) return "-";
  if (row.bound.min_sparsity <= traffic.sparsity()) return "yes";
  return fmt::format("no: {:.0f} of {:.0f} experts", row.bound.experts_needed,
                     traffic.experts - traffic.shared);
}

std::string table(const SparsityReport& report) {
  const FfnTraffic& traffic = report.traffic;
  std::string out = fmt::format(
      "How sparse the experts may be (theory: arXiv 2507.19427 sections 5.3 to 5.5)\n\n"
      "{}: {} per token and layer to the FFN and back, {} layers, within {} ms\n",
      traffic.model, si(traffic.per_token().value(), "B"), traffic.layers,
      significant(report.stage_budget.value() * 1e3));
  if (traffic.experts > 1.0) {
    out += fmt::format("sparsity {} ({:.0f} active of {:.0f} experts, shared ones included)\n",
                       significant(traffic.sparsity()), traffic.active, traffic.experts);
  }
  view::TextTable text;
  text.column("chip", view::Align::left);
  text.column("server\nnetwork");
  text.column("tokens per\nexpert");
  text.column("micro-batch\nwanted");
  text.column("network\ncarries");
  text.column("minimum\nsparsity");
  text.column("full\nuse?", view::Align::left);
  for (const auto& row : report.rows) {
    if (!row.unknown.empty()) {
      text.row({row.chip, "-", "-", "-", "-", "-", row.unknown});
      continue;
    }
    text.row({row.chip, si(row.bound.network.value(), "B/s"),
              fmt::format("{:.0f}", row.bound.dense_batch),
              fmt::format("{:.0f}", row.bound.moe_batch),
              fmt::format("{:.0f}", row.bound.network_batch),
              fmt::format("{:.3f}", row.bound.min_sparsity), verdict(traffic, row)});
  }
  out += "\n" + text.text();
  if (!report.notes.empty()) out += "\nNotes\n";
  for (const auto& note : report.notes) out += fmt::format("  {}\n", note);
  return out;
}

std::string json(const SparsityReport& report) {
  using Json = nlohmann::ordered_json;
  const FfnTraffic& traffic = report.traffic;
  Json rows = Json::array();
  for (const auto& row : report.rows) {
    if (!row.unknown.empty()) {
      rows.push_back({{"chip", row.chip}, {"unknown", row.unknown}});
      continue;
    }
    rows.push_back({{"chip", row.chip},
                    {"network_GBps", row.bound.network.value() / 1e9},
                    {"tokens_per_expert_for_full_mfu", row.bound.dense_batch},
                    {"micro_batch_for_full_mfu", row.bound.moe_batch},
                    {"micro_batch_of_network", row.bound.network_batch},
                    {"min_sparsity", row.bound.min_sparsity},
                    {"experts_needed", row.bound.experts_needed},
                    {"mfu_ceiling", row.bound.ceiling()}});
  }
  return Json{{"provenance", "theory"},
              {"model", traffic.model},
              {"hidden", traffic.hidden},
              {"layers", traffic.layers},
              {"sparsity", traffic.sparsity()},
              {"bytes_per_token_and_layer", traffic.per_token().value()},
              {"stage_budget_ms", report.stage_budget.value() * 1e3},
              {"rows", rows},
              {"notes", report.notes}}
             .dump(2) +
         "\n";
}

std::string csv(const SparsityReport& report) {
  std::string out =
      "model,chip,network_GBps,tokens_per_expert_for_full_mfu,micro_batch_for_full_mfu,"
      "micro_batch_of_network,min_sparsity,experts_needed,mfu_ceiling,unknown\n";
  const auto number = [](double x) { return fmt::format("{}", x); };
  for (const auto& row : report.rows) {
    const bool known = row.unknown.empty();
    const auto cell = [&](double x) { return known ? number(x) : std::string(); };
    out +=
        view::csv_line({report.traffic.model, row.chip, cell(row.bound.network.value() / 1e9),
                        cell(row.bound.dense_batch), cell(row.bound.moe_batch),
                        cell(row.bound.network_batch), cell(row.bound.min_sparsity),
                        cell(row.bound.experts_needed), cell(row.bound.ceiling()), row.unknown}) +
        "\n";
  }
  return out;
}

}  // namespace

std::string render(const SparsityReport& report, view::OutputFormat format) {
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
