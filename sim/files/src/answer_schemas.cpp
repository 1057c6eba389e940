#include "ridge/files/answer_schemas.hpp"

#include "ridge/answer/chip_card.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/explanation.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/answer/model_card.hpp"
#include "ridge/answer/rate_search.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/answer/support_report.hpp"
#include "ridge/evidence/kernels.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/evidence/reproduction.hpp"
#include "ridge/files/file_kinds.hpp"
#include "ridge/files/listing.hpp"
#include "ridge/plan/plan_report.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "ridge/view/answer_keys.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace ridge::files {
namespace {

struct Answer {
  std::string_view name;
  std::string_view command;
  const view::AnswerDescription& (*keys)();
};
// A new answer is one line here.
constexpr std::array kAnswers = {
    Answer{"cost-answer", "ridge cost", answer::cost_answer},
    Answer{"simulate-answer", "ridge simulate", answer::simulation_answer},
    Answer{"compare-answer", "ridge simulate --compare", answer::comparison_answer},
    Answer{"rate-answer", "ridge simulate --largest-rate", answer::rate_answer},
    Answer{"explain-answer", "ridge explain", answer::explain_answer},
    Answer{"sweep-answer", "ridge sweep", sweep::sweep_answer},
    Answer{"plan-answer", "ridge plan", plan::plan_answer},
    Answer{"reproduce-answer", "ridge reproduce", evidence::reproduction_answer},
    Answer{"ledger-answer", "ridge reproduce --measured", evidence::ledger_answer},
    Answer{"kernels-answer", "ridge reproduce --kernels", evidence::kernels_answer},
    Answer{"fit-answer", "ridge fit", answer::fit_answer},
    Answer{"sparsity-answer", "ridge sparsity", answer::sparsity_answer},
    Answer{"support-answer", "ridge support", answer::support_answer},
    Answer{"model-answer", "ridge show MODEL", answer::model_answer},
    Answer{"chip-answer", "ridge show CHIP", answer::chip_answer},
    Answer{"check-answer", "ridge check", check_answer},
    Answer{"list-answer", "ridge list", list_answer},
};

}  // namespace

std::vector<std::string> answer_names() {
  std::vector<std::string> out;
  for (const Answer& answer : kAnswers) out.emplace_back(answer.name);
  return out;
}

std::optional<std::string> answer_schema(const std::string& name) {
  const auto found = std::find_if(kAnswers.begin(), kAnswers.end(),
                                  [&](const Answer& answer) { return answer.name == name; });
  if (found == kAnswers.end()) return std::nullopt;
  std::string title = name;
  std::replace(title.begin(), title.end(), '-', ' ');
  return view::answer_schema(found->keys(), fmt::format("Ridge {}", title),
                             fmt::format("What {} --format json writes.", found->command));
}

}  // namespace ridge::files
