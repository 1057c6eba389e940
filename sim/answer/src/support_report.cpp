#include "ridge/answer/support_report.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::answer {

using hw::Basis;

namespace {

using SupportFigure = view::Figure<SupportRow>;
using Row = const SupportRow&;

const std::array kSupportFigures = {
    SupportFigure{{"layers", "/layers", "", "", "layers that launch it", view::FigureKind::count},
                  [](Row row) { return static_cast<double>(row.layers); }},
    SupportFigure{{"time_us", "/time_us", "", "us", "us in all of these layers",
                   view::FigureKind::number, 1e6},
                  [](Row row) { return row.time.value(); }},
    SupportFigure{{"share", "/share", "", "", "share of the time of all operators"},
                  [](Row row) { return row.share; }},
    SupportFigure{{"held_out_error", "/held_out_error", "", "",
                   "median error of its kernel on shapes that the fit had not seen"},
                  [](Row row) { return row.held_out_error.value_or(view::kUnknown); }},
    SupportFigure{{"octaves_outside", "/octaves_outside", "", "",
                   "doublings by which the shape leaves what the kernel was fitted on"},
                  [](Row row) { return row.octaves_outside; }},
};

void add_rows(const hw::KernelModel& kernels, const std::string& part, const std::string& block,
              std::int64_t layers, const models::OperatorList& operators,
              std::vector<SupportRow>& rows) {
  for (const models::Operator& op : operators) {
    const hw::Timing timing = kernels.time(op);
    SupportRow row{.part = part,
                   .block = block,
                   .op = std::string(op.name),
                   .layers = layers,
                   .time = timing.time * static_cast<double>(layers),
                   .basis = timing.time.value() > 0.0 ? kernels.basis(op) : Basis::nothing,
                   .kernel = std::string(kernels.kernel(op)),
                   .held_out_error = kernels.held_out_error(op),
                   .octaves_outside = timing.octaves_outside,
                   .share = 0.0};
    rows.push_back(std::move(row));
  }
}

// The calibrations that were made on chips of this one's generation.
std::vector<std::string> of_its_generation(const hw::ChipSpec& chip) {
  std::vector<std::string> result;
  for (const std::string& name : hw::calibrated::calibration_names()) {
    if (hw::load_chip(hw::calibrated::load_calibration(name).chip).generation == chip.generation) {
      result.push_back(name);
    }
  }
  return result;
}

}  // namespace

SupportedChip supported_chip(const hw::ChipSpec& chip, const std::string& calibration) {
  SupportedChip out{.name = chip.name, .kernels = nullptr, .unknown = {}, .way_on = {}};
  const auto names = hw::calibrated::calibration_names();
  const bool measured = std::find(names.begin(), names.end(), chip.name) != names.end();
  if (!calibration.empty() || measured) {
    out.kernels = hw::calibrated_model(
        chip, hw::calibrated::load_calibration(calibration.empty() ? chip.name : calibration));
    return out;
  }
  const std::vector<std::string> others = of_its_generation(chip);
  out.way_on = others.empty()
                   ? "Nothing was measured on it, nor on a chip of its generation."
                   : fmt::format("Nothing was measured on it; of its generation: --calibration {}.",
                                 fmt::join(others, ", "));
  try {
    out.kernels = hw::theoretical_model(chip);
  } catch (const UserError& error) {
    out.unknown = error.what();
  }
  return out;
}

double ChipSupport::share_of(Basis basis) const {
  double share = 0.0;
  for (const SupportRow& row : rows) share += row.basis == basis ? row.share : 0.0;
  return share;
}

double ChipSupport::measured_within() const {
  double share = 0.0;
  for (const SupportRow& row : rows) {
    share += row.basis == Basis::measured && row.octaves_outside == 0.0 ? row.share : 0.0;
  }
  return share;
}

std::span<const SupportFigure> support_figures() {
  return kSupportFigures;
}

SupportReport answer(const SupportQuestion& question) {
  const models::ModelSpec& model = question.model;
  const models::DecodeShape shape{.sequences = question.batch, .context = question.context};
  SupportReport report{.model = model.name,
                       .context = question.context,
                       .batch = question.batch,
                       .remark = models::context_remark(model, question.context),
                       .chips = {}};
  for (const SupportedChip& chip : question.chips) {
    ChipSupport& support = report.chips.emplace_back();
    support.chip = chip.name;
    support.unknown = chip.unknown;
    support.way_on = chip.way_on;
    if (chip.kernels == nullptr) continue;
    const hw::KernelModel& kernels = *chip.kernels;
    support.kernels = kernels.provenance();
    for (std::size_t i = 0; i < model.attentions.size(); ++i) {
      models::OperatorList operators;
      models::attention_operators(model.attentions[i], model.precisions, model.hidden, shape, {},
                                  models::MlaCount::absorbed, operators);
      add_rows(kernels, "attention", model.attentions[i].name, model.layers_with_attention(i),
               operators, support.rows);
    }
    for (std::size_t i = 0; i < model.ffns.size(); ++i) {
      models::OperatorList operators;
      models::routing_operators(model.ffns[i], model.precisions, model.hidden, question.batch,
                                operators);
      models::ffn_operators(model.ffns[i], model.precisions, model.hidden, question.batch, {},
                            operators);
      add_rows(kernels, "FFN", model.ffns[i].name, model.layers_with_ffn(i), operators,
               support.rows);
    }
    models::OperatorList head;
    models::head_operators(model, question.batch, 1, head);
    add_rows(kernels, "LM head", "", 1, head, support.rows);
    double total = 0.0;
    for (const SupportRow& row : support.rows) total += row.time.value();
    for (SupportRow& row : support.rows) row.share = row.time.value() / total;
  }
  return report;
}

namespace {

// The bases in the order in which they are told.
constexpr std::array kBases = {Basis::measured, Basis::transferred, Basis::stand_in,
                               Basis::no_curve, Basis::assumed,     Basis::theory};

std::string summary(const ChipSupport& support) {
  std::string out;
  for (const Basis basis : kBases) {
    const double share = support.share_of(basis);
    if (share == 0.0) continue;
    out += fmt::format("{}{} {:.0f} %", out.empty() ? "" : ", ", name_of(basis), 100.0 * share);
    if (basis == Basis::measured && support.measured_within() < share) {
      out +=
          fmt::format(" ({:.0f} % within the shapes measured)", 100.0 * support.measured_within());
    }
  }
  return out;
}

std::string said_of(const SupportRow& row) {
  if (row.basis == Basis::nothing) return "no time of its own";
  std::string out(name_of(row.basis));
  if (!row.kernel.empty()) out += fmt::format(": {}", row.kernel);
  if (row.octaves_outside > 0.0) {
    out += fmt::format("; {} doublings outside its range", significant(row.octaves_outside));
  }
  return out;
}

std::string table(const SupportReport& report) {
  std::string out = fmt::format(
      "{}: what its times rest on\n\n"
      "{:g} requests at {} of context, whole layers on one chip. What crosses\n"
      "links is of a deployment: ridge explain.\n",
      report.model, report.batch, tokens_words(report.context));
  if (!report.remark.empty()) out += report.remark + "\n";
  for (const ChipSupport& support : report.chips) {
    if (!support.unknown.empty()) {
      out += fmt::format("\n{}: cannot be priced: {}\n", support.chip, support.unknown);
      continue;
    }
    out += fmt::format("\n{} by {}\nof the time: {}\n", support.chip, support.kernels,
                       summary(support));
    if (!support.way_on.empty()) out += support.way_on + "\n";
    out += "\n";
    view::TextTable text;
    text.column("of the\ntime");
    text.column("held-out\nerror");
    text.column("operator", view::Align::left);
    text.column("rests on", view::Align::left);
    std::string last;
    for (const SupportRow& row : support.rows) {
      const std::string block = row.block.empty() ? row.part : row.part + " " + row.block;
      if (block != last) {
        last = block;
        text.row({"", "",
                  fmt::format("{}, {} layer{}", block, row.layers, row.layers == 1 ? "" : "s"),
                  ""});
      }
      text.row({fmt::format("{:.1f} %", 100.0 * row.share),
                row.held_out_error ? fmt::format("{:.1f} %", 100.0 * *row.held_out_error) : "-",
                "- " + row.op, said_of(row)});
    }
    out += text.text();
  }
  out += fmt::format(
      "\nmeasured: a curve fitted on this chip. transferred: carried over from another\n"
      "chip or kernel. stand-in: the nearest curve of its kind, of another head size\n"
      "or number format. no curve: nothing of its kind was measured; {:g} of the\n"
      "roofline behind a launch, give or take {:.0f} %. theory: the data sheet alone.\n",
      hw::kRooflineEfficiency, 100.0 * hw::kErrorOfRoofline);
  return out;
}

std::string csv(const SupportReport& report) {
  std::vector<std::string> header{"model", "chip", "part", "block", "operator", "basis", "kernel"};
  for (const auto& figure : kSupportFigures) header.emplace_back(figure.spec.name);
  std::string out = view::csv_line(header) + "\n";
  for (const ChipSupport& support : report.chips) {
    for (const SupportRow& row : support.rows) {
      out += view::csv_row({report.model, support.chip, row.part, row.block, row.op,
                            std::string(name_of(row.basis)), row.kernel},
                           view::csv_cells(view::figure_values(support_figures(), row)));
    }
  }
  return out;
}

// Of a chip whose operators can be priced.
template <typename Get>
auto if_known(Get get) {
  return [get](const ChipSupport& chip) {
    using Value = std::remove_cvref_t<std::invoke_result_t<Get, const ChipSupport&>>;
    return chip.unknown.empty() ? std::optional<Value>(std::invoke(get, chip)) : std::nullopt;
  };
}

}  // namespace

static const view::AnswerKeys<SupportRow>& answer_keys(const SupportRow* /*of*/) {
  using R = SupportRow;
  static const view::AnswerKeys<R> keys(
      {{"part", "attention, FFN, LM head.", &R::part},
       {"block", "The model's name for these layers; empty for the LM head.", &R::block},
       {"operator", "", &R::op},
       {"basis",
        "measured, transferred, stand-in, no curve, assumed, theory; nothing where it takes no "
        "time of its own.",
        [](const R& r) { return name_of(r.basis); }},
       {"kernel", "Whose curve answers; empty where it has no name.", &R::kernel},
       view::figures_of(support_figures())});
  return keys;
}

static const view::AnswerKeys<ChipSupport>& answer_keys(const ChipSupport* /*of*/) {
  using C = ChipSupport;
  static const view::AnswerKeys<C> keys(
      {{"chip", "", &C::chip},
       view::left_out<C>("unknown", "Why nothing can be priced.",
                         [](const C& c) { return view::told(c.unknown); }),
       view::left_out<C>("kernels", "Where the times come from.", if_known(&C::kernels)),
       view::left_out<C>("share_by_basis", "Share of the operators' time, by what it rests on.",
                         if_known([](const C& c) {
                           view::ByName<double> shares;
                           for (const Basis basis : kBases) {
                             shares.emplace_back(name_of(basis), c.share_of(basis));
                           }
                           return shares;
                         })),
       view::left_out<C>("measured_within_range", "Share measured, within the shapes measured.",
                         if_known(&C::measured_within)),
       view::left_out<C>("operators", "", if_known(&C::rows))});
  return keys;
}

static const view::AnswerKeys<SupportReport>& answer_keys(const SupportReport* /*of*/) {
  using R = SupportReport;
  static const view::AnswerKeys<R> keys(
      {{"model", "", &R::model},
       {"context", "Cached tokens per request.", &R::context},
       {"batch", "Requests that a launch serves.", &R::batch},
       {"remark", "Where the context is more than the model was made for; else empty.", &R::remark},
       {"chips", "", &R::chips}});
  return keys;
}

const view::AnswerDescription& support_answer() {
  return answer_keys(static_cast<const SupportReport*>(nullptr));
}

std::string render(const SupportReport& report, view::OutputFormat format) {
  return view::written(format, report, table, csv, view::answer_json);
}

}  // namespace ridge::answer
