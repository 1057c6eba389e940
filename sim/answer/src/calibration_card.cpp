#include "ridge/answer/calibration_card.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using hw::calibrated::Calibration;
using hw::calibrated::Curve;
using hw::calibrated::HeldOutError;

std::string note_of(const Calibration& calibration, const Curve& curve) {
  std::string note(words_of(use_of(calibration, curve)));
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

}  // namespace ridge::answer
