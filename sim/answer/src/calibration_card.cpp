#include "ridge/answer/calibration_card.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using hw::calibrated::Calibration;
using hw::calibrated::Curve;
using hw::calibrated::HeldOutError;

std::string note_of(const Calibration& calibration, const Curve& curve) {
  std::string note = use_words(calibration, curve);
  if (curve.borrowed) {
    note += fmt::format("; from {}, + {:.0f} %", curve.borrowed->from,
                        100.0 * curve.borrowed->added_error);
  } else if (!curve.held_out.by_shape) {
    note += "; few shapes: batch sizes left out";
  }
  return note;
}

// Figures first: kernels' names are long, and go on below themselves in a narrow output.
std::string curves_table(const Calibration& calibration) {
  view::TextTable table;
  table.column("p50");
  table.column("p90");
  table.column("rows");
  table.column("operator, its kernels and their use", view::Align::left);
  const Curve* last = nullptr;
  for (const Curve& curve : calibration.curves) {
    if (last == nullptr || last->key.slot() != curve.key.slot()) {
      table.row({"", "", "", curve.key.slot()});
    }
    last = &curve;
    const HeldOutError& e = curve.held_out;
    const bool measured = e.measurements > 0;
    table.row({measured ? fmt::format("{:.1f} %", 100.0 * e.p50) : "-",
               measured ? fmt::format("{:.1f} %", 100.0 * e.p90) : "-",
               measured ? fmt::format("{}", e.measurements) : "-",
               fmt::format("- {}{}{}", curve.key.kernel, curve.key.kernel.empty() ? "" : ": ",
                           note_of(calibration, curve))});
  }
  return table.text();
}

// Of products, whose libraries take other kernels by the number of rows.
std::string rows_table(const Calibration& calibration) {
  view::TextTable table;
  table.column("held-out p50 / p90 by rows (m)", view::Align::left);
  const Curve* widest = nullptr;
  for (const Curve& curve : calibration.curves) {
    const std::size_t most = widest == nullptr ? 0 : widest->held_out.by_rows.size();
    if (!curve.standby && curve.held_out.by_rows.size() > most) widest = &curve;
  }
  if (widest == nullptr) return "";
  const auto& bins = widest->held_out.by_rows;
  for (const auto& bin : bins) table.column(fmt::format("{:.0f}-{:.0f}", bin.from, bin.to));
  for (const Curve& curve : calibration.curves) {
    if (curve.standby || curve.held_out.by_rows.empty()) continue;
    std::vector<std::string> row{curve.key.slot()};
    for (const auto& bin : bins) {
      const auto& of = curve.held_out.by_rows;
      const auto found = std::find_if(of.begin(), of.end(),
                                      [&](const auto& some) { return some.from == bin.from; });
      row.push_back(found == of.end()
                        ? ""
                        : fmt::format("{:.1f} / {:.0f} %", 100.0 * found->p50, 100.0 * found->p90));
    }
    table.row(std::move(row));
  }
  return "\n" + table.text();
}

}  // namespace

std::string calibration_card(const Calibration& calibration, view::OutputFormat format) {
  if (format == view::OutputFormat::json) return to_json(calibration);
  std::string out = fmt::format("{}: kernel times fitted to measurements on {}\n", calibration.name,
                                calibration.chip);
  if (!calibration.source.empty()) out += fmt::format("from {}\n", calibration.source);
  out += "\np50, p90: error on shapes that the fit had not seen; rows: measurements\n\n";
  out += curves_table(calibration);
  out += fmt::format(
      "\nIn a scenario: \"kernel_model\": \"calibrated:{}\". Of several kernels for an operator "
      "the fastest\nat the asked shape is used; \"prefer_kernels\": [\"KERNEL\"] beside it chooses "
      "one.\n",
      calibration.name);
  return out;
}

std::string calibration_ledger(const Calibration& calibration) {
  view::TextTable table;
  table.column("operator", view::Align::left);
  table.column("kernel", view::Align::left);
  table.column("measured");
  table.column("left out", view::Align::left);
  table.column("held-out\np50");
  table.column("error\np90");
  table.column("\nworst");
  table.column("in-sample\np50");
  table.column("in 90 %\ninterval");
  table.column("outliers");
  table.column("", view::Align::left);
  const auto percent = [](double x) { return fmt::format("{:.1f} %", 100.0 * x); };
  const Curve* last = nullptr;
  for (const Curve& curve : calibration.curves) {
    const bool on_the_wire =
        last != nullptr && last->key.family >= hw::calibrated::Family::all_reduce;
    if (last != nullptr && last->key.family != curve.key.family && !on_the_wire) table.rule();
    last = &curve;
    const HeldOutError& e = curve.held_out;
    std::string note = use_words(calibration, curve);
    if (curve.borrowed) {
      note += fmt::format("; borrowed ({}), + {:.0f} %", curve.borrowed->from,
                          100.0 * curve.borrowed->added_error);
    }
    if (e.measurements == 0) {
      table.row({curve.key.slot(), curve.key.kernel, "0", "", "", "", "", "", "", "", note});
      continue;
    }
    table.row({curve.key.slot(), curve.key.kernel, fmt::format("{}", e.measurements),
               fmt::format("{} {}", e.groups, e.by_shape ? "shapes" : "batch sizes"),
               percent(e.p50), percent(e.p90), percent(e.worst), percent(e.in_sample_p50),
               fmt::format("{:.0f} %", 100.0 * e.coverage_90),
               fmt::format("{}", curve.outlier_count), note});
  }
  return table.text() + rows_table(calibration);
}

}  // namespace ridge::answer
