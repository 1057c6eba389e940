#include "ridge/plan/goal.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::plan {
namespace {

const Catalog& catalog() {
  static const Catalog goals("the name of a goal", "scenarios/plan", "scenarios/plan");
  return goals;
}

}  // namespace

const std::vector<std::string>& goal_names() {
  return catalog().names();
}

LocatedGoal read_goal(const std::string& name_or_path) {
  const JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  return {.file = document.name(), .pointer = {}, .goal = read_document<Goal>(document)};
}

JsonDocument goal_document(const std::string& name_or_path) {
  const std::string file = read_goal(name_or_path).file;
  JsonDocument document = JsonDocument::read(file);
  const auto put_document = [&](nlohmann::json& reference,
                                JsonDocument (*load)(const std::string&)) {
    if (!reference.is_string()) return;
    reference = load(scenario::reference_from(file, reference.get<std::string>())).json();
  };
  for (auto& model : document.json().at("models")) put_document(model, models::model_document);
  if (auto workload = document.json().find("workload");
      workload != document.json().end() && workload->contains("file")) {
    auto& trace = workload->at("file");
    trace = from_folder_of(file, trace.get<std::string>());
  }
  if (auto ranges = document.json().find("ranges"); ranges != document.json().end()) {
    put_document(*ranges, scenario::ranges_document);
  }
  for (auto& stock : document.json().at("chips")) {
    put_document(stock.at("chip"), hw::chip_document);
    constexpr std::string_view kCalibrated = "calibrated:";
    if (!stock.contains("kernel_model")) continue;
    auto& kernels = stock.at("kernel_model");
    const auto which = kernels.get<std::string>();
    if (!which.starts_with(kCalibrated)) continue;
    const std::string name = which.substr(kCalibrated.size());
    if (const std::string path = scenario::reference_from(file, name); path != name) {
      kernels = fmt::format("{}{}", kCalibrated, std::filesystem::absolute(path).string());
    }
  }
  return document;
}

std::string from_folder_of(const std::string& file, const std::string& path) {
  const auto folder = std::filesystem::path(file).parent_path();
  return std::filesystem::absolute(folder / path).lexically_normal().string();
}

bool requests_arrive(const Goal& goal) {
  return goal.workload && !std::holds_alternative<RenewedRequests>(*goal.workload);
}

Objective objective_of(const Goal& goal) {
  if (goal.objective) return *goal.objective;
  if (goal.rate || requests_arrive(goal)) return Objective::gpus;
  return goal.chips.size() > 1 ? Objective::usd_per_million_tokens
                               : Objective::tokens_per_second_per_gpu;
}

}  // namespace ridge::plan
