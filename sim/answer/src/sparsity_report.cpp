#include "ridge/answer/sparsity_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::answer {

using hw::theory::FfnTraffic;
using hw::theory::SparsityBound;

namespace {

using SparsityFigure = view::Figure<SparsityBound>;
using Bound = const SparsityBound&;

const std::array kSparsityFigures = {
    SparsityFigure{{"network_GBps", "/network_GBps", "server\nnetwork", "GB/s",
                    "GB/s of one server's network", view::FigureKind::number, 1e-9},
                   [](Bound b) { return b.network.value(); }},
    SparsityFigure{
        {"tokens_per_expert_for_full_mfu", "/tokens_per_expert_for_full_mfu", "tokens per\nexpert",
         "tokens", "tokens per expert that keep the matrix units busy"},
        [](Bound b) { return b.dense_batch; }},
    SparsityFigure{{"micro_batch_for_full_mfu", "/micro_batch_for_full_mfu", "micro-batch\nwanted",
                    "tokens", "tokens per micro-batch that bring each expert as many"},
                   [](Bound b) { return b.moe_batch; }},
    SparsityFigure{{"micro_batch_of_network", "/micro_batch_of_network", "network\ncarries",
                    "tokens", "tokens per micro-batch that the network carries in a stage"},
                   [](Bound b) { return b.network_batch; }},
    SparsityFigure{{"min_sparsity", "/min_sparsity", "minimum\nsparsity", "",
                    "share of experts that must be active for full use"},
                   [](Bound b) { return b.min_sparsity; }},
    SparsityFigure{{"experts_needed", "/experts_needed", "", "experts",
                    "routed experts per token for that share, of as many as the model has"},
                   [](Bound b) { return b.experts_needed; }},
    SparsityFigure{
        {"mfu_ceiling", "/mfu_ceiling", "", "", "share of full use that the network leaves"},
        [](Bound b) { return b.ceiling(); }},
};

void note_unconfirmed(const hw::ChipSpec& chip, const SparsityQuestion& question,
                      std::vector<std::string>& notes) {
  const auto precision = chip.compute_for(question.traffic.compute);
  const bool rate = precision && chip.matrix_rate[static_cast<std::size_t>(*precision)].unconfirmed;
  const bool nic = !question.assumptions.nic_bandwidth && chip.nic_bandwidth.unconfirmed;
  if (rate) notes.push_back(fmt::format("{}: its matrix rate is unconfirmed", chip.name));
  if (nic) notes.push_back(fmt::format("{}: its NIC bandwidth is unconfirmed", chip.name));
}

}  // namespace

std::span<const SparsityFigure> sparsity_figures() {
  return kSparsityFigures;
}

hw::theory::FfnTraffic plain_traffic(std::int64_t hidden, std::int64_t layers) {
  return {.model = fmt::format("hidden {}, {} layers, FP8 there and BF16 back", hidden, layers),
          .hidden = hidden,
          .layers = layers};
}

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
  for (const auto& figure : kSparsityFigures) {
    if (!figure.spec.heading.empty()) text.column(std::string(figure.spec.heading));
  }
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

std::string csv(const SparsityReport& report) {
  std::vector<std::string> header{"model", "chip"};
  for (const auto& figure : kSparsityFigures) header.emplace_back(figure.spec.name);
  header.emplace_back("unknown");
  std::string out = view::csv_line(header) + "\n";
  for (const auto& row : report.rows) {
    auto values = row.unknown.empty()
                      ? view::csv_cells(view::figure_values(sparsity_figures(), row.bound))
                      : std::vector<std::string>(kSparsityFigures.size());
    values.push_back(row.unknown);
    out += view::csv_row({report.traffic.model, row.chip}, values);
  }
  return out;
}

}  // namespace

static const view::AnswerKeys<SparsityRow>& answer_keys(const SparsityRow* /*of*/) {
  using R = SparsityRow;
  static const view::AnswerKeys<R> keys(
      {{"chip", "", &R::chip},
       view::left_out<R>("unknown", "Why there is no answer.",
                         [](const R& r) { return view::told(r.unknown); }),
       view::figures_of<R>(sparsity_figures(), [](const R& r) {
         return r.unknown.empty() ? std::optional(r.bound) : std::nullopt;
       })});
  return keys;
}

static const view::AnswerKeys<SparsityReport>& answer_keys(const SparsityReport* /*of*/) {
  using R = SparsityReport;
  static const view::AnswerKeys<R> keys(
      {{"provenance", view::kProvenanceWords, [](const R&) { return "theory"; }},
       {"model", "", [](const R& r) { return r.traffic.model; }},
       {"hidden", "", [](const R& r) { return r.traffic.hidden; }},
       {"layers", "", [](const R& r) { return r.traffic.layers; }},
       {"sparsity", "Share of the experts that a token uses.",
        [](const R& r) { return r.traffic.sparsity(); }},
       {"bytes_per_token_and_layer", "On the wire, both ways.",
        [](const R& r) { return r.traffic.per_token().value(); }},
       {"stage_budget_ms", "", [](const R& r) { return r.stage_budget.value() * 1e3; }},
       {"rows", "", &R::rows},
       {"notes", view::kNotesWords, &R::notes}});
  return keys;
}

const view::AnswerDescription& sparsity_answer() {
  return answer_keys(static_cast<const SparsityReport*>(nullptr));
}

std::string render(const SparsityReport& report, view::OutputFormat format) {
  return view::written(format, report, table, csv, view::answer_json);
}

}  // namespace ridge::answer
