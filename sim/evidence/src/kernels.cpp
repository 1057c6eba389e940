#include "ridge/evidence/kernels.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {

using hw::calibrated::Calibration;
using hw::calibrated::Judgment;

namespace {

using KernelFigure = view::Figure<Judgment>;
using Row = const Judgment&;

double if_answered(Row row, double value) {
  return row.answered ? value : view::kUnknown;
}

const std::array kFigures = {
    KernelFigure{{"measurements", "/measurements", "rows", "", "measurements of the kernel",
                  view::FigureKind::count},
                 [](Row row) { return static_cast<double>(row.measurements); }},
    KernelFigure{{"outside", "/outside", "outside", "",
                  "of them outside the range of the curve that answers", view::FigureKind::count},
                 [](Row row) { return if_answered(row, static_cast<double>(row.outside)); }},
    KernelFigure{{"error_p50", "/error/p50", "p50", "", "median of |predicted / measured - 1|"},
                 [](Row row) { return if_answered(row, row.p50); }},
    KernelFigure{{"error_p90", "/error/p90", "p90", "",
                  "what nine of ten of |predicted / measured - 1| are below"},
                 [](Row row) { return if_answered(row, row.p90); }},
    KernelFigure{
        {"error_worst", "/error/worst", "worst", "", "largest of |predicted / measured - 1|"},
        [](Row row) { return if_answered(row, row.worst); }},
    KernelFigure{{"bias", "/bias", "bias", "",
                  "median of predicted / measured - 1: above 0, predicted too slow"},
                 [](Row row) { return if_answered(row, row.bias); }},
    KernelFigure{{"within_interval", "/within_interval", "in 90 %\ninterval", "",
                  "share within the 90 % interval that the curve states"},
                 [](Row row) { return if_answered(row, row.coverage_90); }},
    KernelFigure{
        {"needed_error", "/needed_error", "to add", "",
         "standard error that the curve's own needs beside it for nine of ten inside the ranges to "
         "be within 90 % intervals"},
        [](Row row) { return row.needed_error.value_or(view::kUnknown); }},
};

// A curve that was fitted to what it is judged by has seen the answers.
void note_what_was_seen(const Calibration& calibration,
                        const hw::calibrated::MeasurementSet& measurements,
                        std::vector<std::string>& notes) {
  for (const auto& file : measurements.files) {
    const std::string name = std::filesystem::path(file.path).filename().string();
    std::size_t curves = 0;
    for (const auto& curve : calibration.curves) {
      for (const auto& source : curve.sources) {
        curves += std::filesystem::path(source.file).filename() == name ? 1U : 0U;
      }
    }
    if (curves > 0) {
      notes.push_back(fmt::format(
          "{}: {} of the calibration's curves name a file so called as what they were fitted to; "
          "if it is this one, their errors are of what the fit has seen. ridge show "
          "calibrated:{} tells those of what it has not",
          file.path, curves, calibration.name));
    }
  }
}

}  // namespace

std::span<const KernelFigure> kernel_figures() {
  return kFigures;
}

KernelMeasurements read_kernels(std::span<const std::string> files, const std::string& calibration,
                                const std::string& chip) {
  KernelMeasurements measured{.calibration = hw::calibrated::load_calibration(calibration),
                              .fitted_for = {},
                              .chip = chip,
                              .elsewhere = false,
                              .set = {}};
  measured.fitted_for = measured.calibration.chip;
  if (!chip.empty()) {
    // A chip is known by its name: the path of a file of the calibration's own is no other place.
    const hw::ChipSpec to = hw::load_chip(chip);
    measured.elsewhere = to.name != measured.fitted_for;
    if (measured.elsewhere) {
      measured.calibration =
          hw::calibrated::transferred(measured.calibration, hw::load_chip(measured.fitted_for), to);
    }
  }
  measured.set = hw::calibrated::read_measurements(hw::calibrated::measurement_files(files),
                                                   measured.calibration.chip);
  return measured;
}

KernelLedger judge_kernels(const KernelMeasurements& measured) {
  const Calibration& asked = measured.calibration;
  KernelLedger ledger{.calibration = asked.name,
                      .chip = measured.fitted_for,
                      .transferred_to = measured.elsewhere ? asked.chip : "",
                      .files = {},
                      .device = measured.set.device(),
                      .rows = hw::calibrated::judge(measured.set, asked),
                      .modules = {},
                      .notes = measured.set.left_aside(false)};
  for (const auto& file : measured.set.files) ledger.files.push_back(file.path);
  for (const Judgment& row : ledger.rows) {
    if (!row.answered) {
      ledger.notes.push_back(
          fmt::format("{}: {} has no curve for it", row.key.slot(), ledger.calibration));
    }
  }
  if (!measured.set.modules.empty()) {
    // As given, where it is a file; else by its name.
    const std::string chip = measured.chip.empty() ? measured.fitted_for : measured.chip;
    const std::vector<std::string> known = hw::chip_names();
    if (!measured.chip.empty() || std::find(known.begin(), known.end(), chip) != known.end()) {
      JudgedModules modules =
          judge_modules(measured.set.modules, asked, hw::load_chip(chip), measured.set.chip);
      ledger.modules = std::move(modules.rows);
      std::move(modules.notes.begin(), modules.notes.end(), std::back_inserter(ledger.notes));
    } else {
      ledger.notes.push_back(fmt::format(
          "{} whole modules not asked: the chip {} does not ship (--chip takes its file)",
          measured.set.modules.size(), chip));
    }
  }
  note_what_was_seen(asked, measured.set, ledger.notes);
  return ledger;
}

void write_transfer_errors(const KernelMeasurements& measured, const std::string& path) {
  if (!std::filesystem::exists(path)) {
    throw UserError(
        fmt::format("{}: there is no such file; begin with a copy of the shipped one, {}", path,
                    hw::calibrated::transfer_errors_path().string()));
  }
  const hw::ChipSpec from = hw::load_chip(measured.fitted_for);
  const hw::ChipSpec to = measured.elsewhere ? hw::load_chip(measured.chip) : from;
  const std::vector<std::string> shipped = hw::chip_names();
  const auto is_shipped = [&](const hw::ChipSpec& chip) {
    return std::find(shipped.begin(), shipped.end(), chip.name) != shipped.end();
  };
  hw::calibrated::MeasuredTransfer needed{
      .from = from.name,
      .to = to.name,
      .source = measured.calibration.source,
      .errors =
          hw::calibrated::needed_errors(measured.set, measured.calibration, !measured.elsewhere),
      .left_out = {}};
  if (!is_shipped(from) || !is_shipped(to)) needed.generation = from.generation;
  if (needed.errors.empty()) {
    std::vector<std::string> files;
    for (const auto& file : measured.set.files) files.push_back(file.path);
    throw UserError(fmt::format(
        "{}: {}", fmt::join(files, ", "),
        measured.elsewhere
            ? fmt::format("{} has no curve of the kernels that were measured, or all rows lie "
                          "outside its ranges: measure kernels that ridge show calibrated:{} lists",
                          measured.calibration.name, measured.calibration.name)
            : fmt::format("{} has no curve of another kernel that could answer in the place of "
                          "those measured: for what a transfer needs, name the chip that was "
                          "measured with --chip",
                          measured.calibration.name)));
  }
  for (hw::calibrated::NeededError& each : needed.errors) {
    const double change = hw::calibrated::change_error(each.family, each.format, from, to);
    each.error = std::sqrt(std::max(0.0, each.error * each.error - change * change));
    each.error = std::round(1e3 * each.error) / 1e3;
  }
  write_file(path, hw::calibrated::with_transfer(path, needed));
}

namespace {

std::string named(const std::string& kernel) {
  return kernel.empty() ? "no name" : kernel;
}

std::string percent(Row row, double value, const char* form = "{:.1f} %") {
  return row.answered ? fmt::format(fmt::runtime(form), 100.0 * value) : "-";
}

std::string modules_table(const KernelLedger& ledger) {
  if (ledger.modules.empty()) return {};
  view::TextTable text;
  text.column("p50\n(%)");
  text.column("p90\n(%)");
  text.column("bias\n(%)");
  text.column("off\n(us)");
  text.column("rows");
  text.column("module, the kernel measured,\nand where the sum of its operators lies",
              view::Align::left);
  std::string last;
  for (const ModuleJudgment& row : ledger.modules) {
    if (row.what() != last) {
      last = row.what();
      text.row({"", "", "", "", "", last});
    }
    text.row({fmt::format("{:.1f}", 100.0 * row.p50), fmt::format("{:.1f}", 100.0 * row.p90),
              fmt::format("{:+.1f}", 100.0 * row.bias), fmt::format("{:+.1f}", row.off_us),
              fmt::format("{}", row.measurements), fmt::format("- {}", named(row.kernel))});
    text.row({"", "", "", "", "", fmt::format("  {}", row.where())});
  }
  return fmt::format(
      "{}Whole modules of attention, beside the sum of their operators, each timed by\n"
      "itself; off: median of predicted - measured\n\n{}",
      ledger.rows.empty() ? "" : "\n", text.text());
}

std::string table(const KernelLedger& ledger) {
  std::string out = fmt::format("{}, fitted for {}", ledger.calibration, ledger.chip);
  if (!ledger.transferred_to.empty()) out += " and transferred to " + ledger.transferred_to;
  out += ", beside measurements";
  if (!ledger.device.empty()) out += fmt::format(" on {}", ledger.device);
  out +=
      "\n\np50, p90: of |predicted / measured - 1|; bias: its median with the sign, above 0\n"
      "predicted too slow";
  out += ledger.rows.empty() ? "\n\n" : "; outside: rows beyond the range of what answers\n\n";
  view::TextTable text;
  text.column("p50");
  text.column("p90");
  text.column("bias");
  text.column("in 90 %\ninterval");
  text.column("rows");
  text.column("outside");
  text.column("operator, the kernel measured, and the one that answers", view::Align::left);
  std::string last;
  for (const Judgment& row : ledger.rows) {
    if (row.key.slot() != last) {
      last = row.key.slot();
      text.row({"", "", "", "", "", "", last});
    }
    std::string names = fmt::format("- {}", named(row.key.kernel));
    if (!row.answered) {
      names += ": no curve";
    } else if (row.answered_by != row.key.kernel) {
      names += fmt::format(": {}", named(row.answered_by));
    }
    text.row({percent(row, row.p50), percent(row, row.p90), percent(row, row.bias, "{:+.1f} %"),
              percent(row, row.coverage_90, "{:.0f} %"), fmt::format("{}", row.measurements),
              row.answered ? fmt::format("{}", row.outside) : "-", names});
  }
  if (!ledger.rows.empty()) out += text.text();
  out += modules_table(ledger);
  if (!ledger.notes.empty()) out += "\nNotes\n";
  for (const auto& note : ledger.notes) {
    std::string lead = "  ";
    for (const auto& line : view::wrapped(note, view::output_width() - 4)) {
      out += fmt::format("{}{}\n", std::exchange(lead, "    "), line);
    }
  }
  return out;
}

// A judgment as a row of the answer.
struct JudgedRow {
  const Judgment& judged;
};

const view::AnswerKeys<JudgedRow>& answer_keys(const JudgedRow* /*of*/) {
  using R = JudgedRow;
  static const view::AnswerKeys<R> keys(
      {{"operator", "", [](const R& r) { return name_of(r.judged.key.family); }},
       {"format", "Of the product or the cache.",
        [](const R& r) { return name_of(r.judged.key.format); }},
       {"head_dim", "Attention only, else 0.", [](const R& r) { return r.judged.key.head_dim; }},
       {"kernel", "That was measured.", [](const R& r) { return r.judged.key.kernel; }},
       {"answered_by", "Whose curve answers; null: there is none.",
        [](const R& r) {
          return r.judged.answered ? std::optional(r.judged.answered_by) : std::nullopt;
        }},
       view::figures_of<R>(kernel_figures(),
                           [](const R& r) -> const Judgment& { return r.judged; })});
  return keys;
}

// Modules stand in the columns of kernels, as far as they have them, and in some of their own.
std::string csv(const KernelLedger& ledger) {
  std::vector<std::string> header{"operator", "format", "head_dim", "kernel", "answered_by"};
  std::vector<std::string_view> shared;
  for (const auto& figure : kFigures) {
    shared.push_back(figure.spec.name);
    header.emplace_back(figure.spec.name);
  }
  const auto is_shared = [&](std::string_view name) {
    return std::find(shared.begin(), shared.end(), name) != shared.end();
  };
  header.insert(header.end(), {"model", "cache_format"});
  for (const auto& figure : module_figures()) {
    if (!is_shared(figure.spec.name)) header.emplace_back(figure.spec.name);
  }
  header.emplace_back("largest_operators");
  const std::size_t own = header.size() - 5 - shared.size();
  std::string out = view::csv_line(header) + "\n";
  for (const Judgment& row : ledger.rows) {
    auto cells = view::csv_cells(view::figure_values(kernel_figures(), row));
    cells.resize(cells.size() + own);
    out +=
        view::csv_row({std::string(name_of(row.key.family)), std::string(name_of(row.key.format)),
                       fmt::format("{}", row.key.head_dim), row.key.kernel, row.answered_by},
                      cells);
  }
  for (const ModuleJudgment& row : ledger.modules) {
    const auto values = view::figure_values(module_figures(), row);
    const auto figures = view::csv_cells(values);
    std::vector<std::string> cells(shared.size());
    cells.insert(cells.end(), {row.model, std::string(name_of(row.cache))});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto at = std::find(shared.begin(), shared.end(), values[i].spec->name);
      if (at == shared.end()) {
        cells.push_back(figures[i]);
      } else {
        cells[static_cast<std::size_t>(at - shared.begin())] = figures[i];
      }
    }
    cells.push_back(row.where());
    out += view::csv_row({std::string(name_of(row.kind)), std::string(name_of(row.products)), "",
                          row.kernel, row.preferred},
                         cells);
  }
  return out;
}

}  // namespace

static const view::AnswerKeys<ModuleOperator>& answer_keys(const ModuleOperator* /*of*/) {
  using O = ModuleOperator;
  static const view::AnswerKeys<O> keys(
      {{"name", "", &O::name},
       {"share", "Of the sum: the median over the modules.", &O::share},
       {"us", "Likewise.", &O::us},
       {"kernel", "Whose curve answers; empty where it has no name or there is none; \"several\".",
        &O::kernel},
       {"basis", "What the time rests on, of several the least sure.",
        [](const O& o) { return name_of(o.basis); }}});
  return keys;
}

static const view::AnswerKeys<ModuleJudgment>& answer_keys(const ModuleJudgment* /*of*/) {
  using M = ModuleJudgment;
  static const view::AnswerKeys<M> keys(
      {{"part", "As tables of whole modules call it.", [](const M& m) { return name_of(m.kind); }},
       {"model", "Likewise.", &M::model},
       {"products", "Their number format.", [](const M& m) { return name_of(m.products); }},
       {"cache", "Its number format.", [](const M& m) { return name_of(m.cache); }},
       {"kernel", "That was measured, as its engine calls it.", &M::kernel},
       {"preferred",
        "What it calls and its engine's kernels, where the calibration has some; else null.",
        [](const M& m) { return view::told(m.preferred); }},
       view::figures_of<M>(module_figures()),
       {"operators", "What the sum is made of, the greatest first.", &M::operators}});
  return keys;
}

static const view::AnswerKeys<KernelLedger>& answer_keys(const KernelLedger* /*of*/) {
  using L = KernelLedger;
  static const view::AnswerKeys<L> keys(
      {{"calibration", "", &L::calibration},
       {"chip", "What it was fitted for.", &L::chip},
       {"transferred_to", "Another chip, where it was asked for one; else empty.",
        &L::transferred_to},
       {"files", "", &L::files},
       {"device", "As the files name it; empty where they do not.", &L::device},
       {"rows", "",
        [](const L& l) {
          std::vector<JudgedRow> out;
          for (const Judgment& row : l.rows) out.push_back({row});
          return out;
        }},
       {"modules", "Whole modules, beside the sum of their operators.", &L::modules},
       {"notes", view::kNotesWords, &L::notes}});
  return keys;
}

const view::AnswerDescription& kernels_answer() {
  return answer_keys(static_cast<const KernelLedger*>(nullptr));
}

std::string render(const KernelLedger& ledger, view::OutputFormat format) {
  return view::written(format, ledger, table, csv, view::answer_json);
}

std::string kernels_page(const KernelLedger& ledger, const std::string& command) {
  std::string out = fmt::format(
      "# {} beside measured kernels\n\nFitted for {}{}{}. This page is made by\n\n    {}\n\n"
      "p50, p90: of |predicted / measured - 1|; bias: its median with the sign, above 0 predicted "
      "too slow.\n",
      ledger.calibration, ledger.chip,
      ledger.transferred_to.empty() ? ""
                                    : fmt::format(", transferred to {}", ledger.transferred_to),
      ledger.device.empty() ? "" : fmt::format("; measured on {}", ledger.device), command);
  if (!ledger.rows.empty()) {
    out +=
        "\n## Kernels\n\n"
        "| operator | kernel | answered by | rows | outside | p50 | p90 | bias | in 90 % interval "
        "|\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  }
  for (const Judgment& row : ledger.rows) {
    out +=
        fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", row.key.slot(),
                    named(row.key.kernel), row.answered ? named(row.answered_by) : "no curve",
                    row.measurements, row.answered ? fmt::format("{}", row.outside) : "-",
                    percent(row, row.p50), percent(row, row.p90),
                    percent(row, row.bias, "{:+.1f} %"), percent(row, row.coverage_90, "{:.0f} %"));
  }
  if (!ledger.modules.empty()) {
    out +=
        "\n## Whole modules of attention\n\nBeside the sum of their operators, each timed by "
        "itself; off: median of predicted - measured.\n\n"
        "| module | kernel | rows | p50 | p90 | bias | off (us) | where the sum lies |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n";
  }
  for (const ModuleJudgment& row : ledger.modules) {
    out += fmt::format("| {} | {} | {} | {:.1f} % | {:.1f} % | {:+.1f} % | {:+.1f} | {} |\n",
                       row.what(), named(row.kernel), row.measurements, 100.0 * row.p50,
                       100.0 * row.p90, 100.0 * row.bias, row.off_us, row.where());
  }
  if (!ledger.notes.empty()) out += "\n## Notes\n\n";
  for (const auto& note : ledger.notes) out += fmt::format("- {}\n", note);
  return out;
}

}  // namespace ridge::evidence
