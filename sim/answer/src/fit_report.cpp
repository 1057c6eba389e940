#include "ridge/answer/fit_report.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::answer {

using hw::theory::AttentionFit;
using hw::theory::FfnFit;
using hw::theory::FitAssumptions;
using hw::theory::FitLimit;

namespace {

using view::FigureKind;
using AttentionFigure = view::Figure<AttentionFit>;
using FfnFigure = view::Figure<FfnFit>;
using Attention = const AttentionFit&;
using Ffn = const FfnFit&;

double limit(const std::vector<FitLimit>& limits, std::size_t resource) {
  return limits[resource].batch.value_or(view::kUnknown);
}

const std::array kAttentionFigures = {
    AttentionFigure{{"fits", "/fits", "fits", "", "whether one sequence fits", FigureKind::truth},
                    [](Attention f) { return f.fits ? 1.0 : 0.0; }},
    AttentionFigure{{"why_not", "/why_not", "", "", "why none fits", FigureKind::label},
                    nullptr,
                    [](Attention f) { return f.fits ? std::string() : f.why_not; }},
    AttentionFigure{{"layer_budget_us", "/layer_budget_us", "", "us", "microseconds for a layer",
                     FigureKind::number, 1e6},
                    [](Attention f) { return f.layer_budget.value(); }},
    AttentionFigure{{"bytes_per_layer", "/bytes_per_layer", "", "B",
                     "bytes that a card reads in a layer's time"},
                    [](Attention f) { return f.bytes_in_budget.value(); }},
    AttentionFigure{{"weight_bytes_per_layer", "/weight_bytes_per_layer", "", "B",
                     "of these, bytes of weights"},
                    [](Attention f) { return f.weights_read.value(); }},
    AttentionFigure{{"cache_bytes_per_layer", "/cache_bytes_per_layer", "", "B",
                     "of these, bytes left for the cache"},
                    [](Attention f) { return f.cache_left.value(); }},
    AttentionFigure{{"cache_bytes_per_token_and_layer", "/cache_bytes_per_token_and_layer", "", "B",
                     "bytes of cache of one token in one layer"},
                    [](Attention f) { return f.cache_per_token.value(); }},
    AttentionFigure{{"cached_tokens", "/cached_tokens", "", "tokens",
                     "tokens whose cache a card reads in a layer's time"},
                    [](Attention f) { return f.cached_tokens; }},
    AttentionFigure{{"sequences_by_memory_bandwidth", "/sequences_by_resource/memory bandwidth", "",
                     "", "sequences that the memory bandwidth allows"},
                    [](Attention f) { return limit(f.limits, 0); }},
    AttentionFigure{{"sequences_by_arithmetic", "/sequences_by_resource/arithmetic", "", "",
                     "sequences that the matrix units allow"},
                    [](Attention f) { return limit(f.limits, 1); }},
    AttentionFigure{{"sequences_by_memory_capacity", "/sequences_by_resource/memory capacity", "",
                     "", "sequences whose cache the memory holds"},
                    [](Attention f) { return limit(f.limits, 2); }},
    AttentionFigure{{"sequences_by_network", "/sequences_by_resource/network", "", "",
                     "sequences whose tokens the network carries"},
                    [](Attention f) { return limit(f.limits, 3); }},
    AttentionFigure{{"sequences_per_card", "/sequences_per_card", "", "",
                     "whole sequences per card, the least of these"},
                    [](Attention f) { return f.batch; }},
    AttentionFigure{{"bound", "/bound", "", "", "the resource that sets it", FigureKind::label},
                    nullptr,
                    [](Attention f) { return f.bound; }},
    AttentionFigure{{"cards", "/cards", "", "cards", "cards for the micro-batch, in whole servers",
                     FigureKind::count},
                    [](Attention f) { return static_cast<double>(f.cards); }},
};

const std::array kFfnFigures = {
    FfnFigure{{"fits", "/fits", "fits", "", "whether the micro-batch fits", FigureKind::truth},
              [](Ffn f) { return f.fits ? 1.0 : 0.0; }},
    FfnFigure{{"why_not", "/why_not", "", "", "why it does not", FigureKind::label},
              nullptr,
              [](Ffn f) { return f.fits ? std::string() : f.why_not; }},
    FfnFigure{{"weight_bytes", "/weight_bytes", "", "B", "bytes of all FFN weights"},
              [](Ffn f) { return f.weights.value(); }},
    FfnFigure{{"weight_bytes_per_card", "/weight_bytes_per_card", "", "B",
               "bytes of weights that one card reads in its share of a stage"},
              [](Ffn f) { return f.card_share.value(); }},
    FfnFigure{{"servers", "/servers", "", "servers", "servers that read, hold and multiply in time",
               FigureKind::count},
              [](Ffn f) { return static_cast<double>(f.servers); }},
    FfnFigure{{"cards", "/cards", "", "cards", "their cards", FigureKind::count},
              [](Ffn f) { return static_cast<double>(f.cards); }},
    FfnFigure{{"bound", "/bound", "", "", "the resource that sets them", FigureKind::label},
              nullptr,
              [](Ffn f) { return f.bound; }},
    FfnFigure{{"tokens_by_arithmetic", "/tokens_by_resource/arithmetic", "", "tokens",
               "tokens per micro-batch that the matrix units allow"},
              [](Ffn f) { return limit(f.limits, 0); }},
    FfnFigure{{"tokens_by_network", "/tokens_by_resource/network", "", "tokens",
               "tokens per micro-batch that the network carries"},
              [](Ffn f) { return limit(f.limits, 1); }},
    FfnFigure{{"micro_batch", "/micro_batch", "", "tokens", "the least of these"},
              [](Ffn f) { return f.micro_batch; }},
    FfnFigure{{"micro_batch_bound", "/micro_batch_bound", "", "", "the resource that sets it",
               FigureKind::label},
              nullptr,
              [](Ffn f) { return f.micro_batch_bound; }},
    FfnFigure{{"micro_batch_for_full_mfu", "/micro_batch_for_full_mfu", "", "tokens",
               "tokens that keep the matrix units busy"},
              [](Ffn f) { return f.wanted_batch; }},
};

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
      "\nAttention: sequences of {} tokens per card and micro-batch, by each resource\n"
      "(of the memory, {:.0f} % less {})\n\n",
      tokens_words(a.context), 100.0 * a.memory_utilization, si(a.memory_reserve.value(), "B"));
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

}  // namespace

std::span<const AttentionFigure> attention_fit_figures() {
  return kAttentionFigures;
}
std::span<const FfnFigure> ffn_fit_figures() {
  return kFfnFigures;
}

static const view::AnswerKeys<FitRow>& answer_keys(const FitRow* /*of*/) {
  using R = FitRow;
  static const view::AnswerKeys<R> keys(
      {{"chip", "", &R::chip},
       view::left_out<R>("unknown", "Why there is no answer.",
                         [](const R& r) { return view::told(r.unknown); }),
       view::object_of_figures<R>("attention", "", attention_fit_figures(), &R::attention),
       view::object_of_figures<R>("ffn", "", ffn_fit_figures(), &R::ffn)});
  return keys;
}

static const view::AnswerKeys<FitReport>& answer_keys(const FitReport* /*of*/) {
  using R = FitReport;
  static const view::AnswerKeys<R> keys(
      {{"provenance", view::kProvenanceWords, [](const R&) { return "theory"; }},
       {"model", "", &R::model},
       {"stage_budget_ms", "", [](const R& r) { return r.assumptions.stage_budget.value() * 1e3; }},
       {"context_tokens", view::kContextWords, [](const R& r) { return r.assumptions.context; }},
       {"micro_batches", "", [](const R& r) { return r.assumptions.micro_batches; }},
       {"weights_share", "Of the memory.", [](const R& r) { return r.assumptions.weights_share; }},
       {"rows", "", &R::rows},
       {"notes", view::kNotesWords, &R::notes}});
  return keys;
}

const view::AnswerDescription& fit_answer() {
  return answer_keys(static_cast<const FitReport*>(nullptr));
}

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
  return format == view::OutputFormat::json ? view::answer_json(report) : table(report);
}

}  // namespace ridge::answer
