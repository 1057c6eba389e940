// A sweep's rows, written piece by piece: ten million of them fit no string.
#pragma once

#include "ridge/sweep/sweep.hpp"
#include "ridge/view/output_format.hpp"

#include <functional>
#include <string_view>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::sweep {

using TextSink = std::function<void(std::string_view)>;

// CSV and JSON hold every row; the table holds the Pareto front, or the first rows where no front
// was asked for. Rows come in the order of the sweep's points, references last.
void write_sweep(const SweepResult& result, view::OutputFormat format, const SweepOptions& options,
                 const TextSink& sink);
[[nodiscard]] const view::AnswerDescription& sweep_answer();

}  // namespace ridge::sweep
