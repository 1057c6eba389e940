#include "ridge/answer/sparsity_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {

Bytes FfnTraffic::per_token() const {
  return static_cast<double>(hidden) *
         (models::bytes_per_value(dispatch) + models::bytes_per_value(combine));
}

FfnTraffic ffn_traffic(const models::ModelSpec& model) {
  FfnTraffic traffic{.model = model.name,
                     .hidden = model.hidden,
                     .layers = model.layers(),
                     .weights = model.precisions.weights,
                     .compute = model.precisions.compute,
                     .dispatch = model.precisions.wire_dispatch,
                     .combine = model.precisions.wire_combine};
  std::int64_t most_layers = 0;
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto* moe = std::get_if<models::MoeFfn>(&model.ffns[i].kind);
    if (moe == nullptr || model.layers_with_ffn(i) <= most_layers) continue;
    most_layers = model.layers_with_ffn(i);
    traffic.weights = model.ffns[i].weights;
    traffic.compute = model.ffns[i].compute;
    traffic.shared = static_cast<double>(moe->shared_intermediate) /
                     static_cast<double>(moe->expert_intermediate);
    traffic.experts = static_cast<double>(moe->experts) + traffic.shared;
    traffic.active = static_cast<double>(moe->top_k) + traffic.shared;
  }
  return traffic;
}

namespace {

std::string what_is_unknown(const hw::ChipSpec& chip, const FfnTraffic& traffic,
                            const SparsityQuestion& question) {
  if (!chip.memory_bandwidth.value) return "memory bandwidth unknown";
  if (!chip.rate_for(traffic.compute)) return "matrix rate unknown";
  if (!question.nic_bandwidth && !chip.nic_bandwidth.value) return "NIC bandwidth unknown";
  if (!question.nics_per_server && !chip.chips_per_server.value) return "NICs per server unknown";
  return {};
}

SparsityRow row_for(const hw::ChipSpec& chip, const SparsityQuestion& question) {
  const FfnTraffic& traffic = question.traffic;
  SparsityRow row{.chip = chip.name, .unknown = what_is_unknown(chip, traffic, question)};
  if (!row.unknown.empty()) return row;
  // One NIC per chip, as in every server of the report.
  const auto nics =
      question.nics_per_server ? *question.nics_per_server : *chip.chips_per_server.value;
  const auto nic = question.nic_bandwidth ? *question.nic_bandwidth : *chip.nic_bandwidth.value;
  row.network = static_cast<double>(nics) * nic;
  const Flop per_weight{2.0};
  row.dense_batch = (models::bytes_per_value(traffic.weights) / *chip.memory_bandwidth.value) /
                    (per_weight / *chip.rate_for(traffic.compute));
  row.moe_batch = row.dense_batch / traffic.sparsity();
  row.network_batch = question.stage_budget * row.network /
                      (static_cast<double>(traffic.layers) * traffic.per_token());
  row.min_sparsity = row.dense_batch / row.network_batch;
  // Rounding noise must not ask for one expert more.
  row.experts_needed =
      std::max(std::ceil(row.min_sparsity * traffic.experts - traffic.shared - 1e-9), 0.0);
  return row;
}

void note_unconfirmed(const hw::ChipSpec& chip, const SparsityQuestion& question,
                      std::vector<std::string>& notes) {
  const auto precision = chip.compute_for(question.traffic.compute);
  const bool rate = precision && chip.matrix_rate[static_cast<std::size_t>(*precision)].unconfirmed;
  const bool nic = !question.nic_bandwidth && chip.nic_bandwidth.unconfirmed;
  if (rate) notes.push_back(fmt::format("{}: its matrix rate is unconfirmed", chip.name));
  if (nic) notes.push_back(fmt::format("{}: its NIC bandwidth is unconfirmed", chip.name));
}

}  // namespace

SparsityReport answer(const SparsityQuestion& question) {
  SparsityReport report{
      .traffic = question.traffic, .stage_budget = question.stage_budget, .rows = {}, .notes = {}};
  for (const auto& chip : question.chips) {
    report.rows.push_back(row_for(chip, question));
    note_unconfirmed(chip, question, report.notes);
  }
  return report;
}

namespace {

std::string verdict(const FfnTraffic& traffic, const SparsityRow& row) {
  if (row.min_sparsity > 1.0) return "no sparsity will do";
  if (traffic.experts <= 1.0) return "-";
  if (row.min_sparsity <= traffic.sparsity()) return "yes";
  return fmt::format("no: {:.0f} of {:.0f} experts", row.experts_needed,
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
    text.row({row.chip, si(row.network.value(), "B/s"), fmt::format("{:.0f}", row.dense_batch),
              fmt::format("{:.0f}", row.moe_batch), fmt::format("{:.0f}", row.network_batch),
              fmt::format("{:.3f}", row.min_sparsity), verdict(traffic, row)});
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
                    {"network_GBps", row.network.value() / 1e9},
                    {"tokens_per_expert_for_full_mfu", row.dense_batch},
                    {"micro_batch_for_full_mfu", row.moe_batch},
                    {"micro_batch_of_network", row.network_batch},
                    {"min_sparsity", row.min_sparsity},
                    {"experts_needed", row.experts_needed},
                    {"mfu_ceiling", row.ceiling()}});
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
    out += view::csv_line({report.traffic.model, row.chip, cell(row.network.value() / 1e9),
                           cell(row.dense_batch), cell(row.moe_batch), cell(row.network_batch),
                           cell(row.min_sparsity), cell(row.experts_needed), cell(row.ceiling()),
                           row.unknown}) +
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
