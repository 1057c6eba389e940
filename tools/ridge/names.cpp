#include "names.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {

namespace {

template <typename T>
std::vector<T> load_all(const std::vector<std::string>& names, std::string_view option,
                        T (*load)(const std::string&)) {
  std::vector<T> out;
  std::vector<std::string> problems;
  for (const auto& name : names) {
    try {
      out.push_back(load(name));
    } catch (const UserError& e) {
      // A file's problems name the file.
      problems.push_back(is_path(name) ? e.what() : fmt::format("{}: {}", option, e.what()));
    }
  }
  if (!problems.empty()) throw UserError(fmt::format("{}", fmt::join(problems, "\n")));
  return out;
}

}  // namespace

std::vector<models::ModelSpec> load_models(const std::vector<std::string>& names,
                                           std::string_view option) {
  return load_all(names, option, models::load_model);
}

std::vector<hw::ChipSpec> load_chips(const std::vector<std::string>& names,
                                     std::string_view option) {
  return load_all(names, option, hw::load_chip);
}

std::vector<models::ModelSpec> models_or(const std::string& listed,
                                         const scenario::CostScenario& scenario) {
  if (!listed.empty()) return load_models(split_list(listed, "--model"), "--model");
  Diagnostics diagnostics;
  auto models = scenario::models_of(scenario, diagnostics);
  diagnostics.throw_if_errors();
  return models;
}

std::vector<hw::ChipSpec> chips_or(const std::string& listed,
                                   const scenario::CostScenario& scenario) {
  if (!listed.empty()) return load_chips(split_list(listed, "--chip"), "--chip");
  Diagnostics diagnostics;
  auto chips = scenario::chips_of(scenario, diagnostics);
  diagnostics.throw_if_errors();
  return chips;
}

}  // namespace ridge::tools
