// How a plan is shown, and how it is left as scenario files.
#pragma once

#include "ridge/plan/plan.hpp"
#include "ridge/view/designs.hpp"
#include "ridge/view/output_format.hpp"

#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::plan {

[[nodiscard]] std::string render(const Plan& plan, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& plan_answer();

// Throughput against speed, of the front and the ranking, as SVG.
[[nodiscard]] std::string plan_picture(const Plan& plan);
// For a page: the ranking and the front, and in words why the first is first and how it was found.
[[nodiscard]] view::Designs designs_of(const Plan& plan);
[[nodiscard]] std::vector<std::string> page_words(const Plan& plan);

// Each deployment of the ranking as a scenario of one replica in this folder, which is made where
// there is none: "1-afd-5a2f.json" and so on. The names of the files. Throws UserError.
std::vector<std::string> write_scenarios(const Plan& plan, const std::string& folder);

}  // namespace ridge::plan
