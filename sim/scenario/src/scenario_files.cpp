#include "ridge/scenario/scenario_files.hpp"

#include "ridge/base/catalog.hpp"

#include <fmt/format.h>

namespace ridge::scenario {
namespace {
const Catalog& catalog() {
  static const Catalog scenarios("the name of a scenario", "scenarios", "scenarios");
  return scenarios;
}
}  // namespace

const std::vector<std::string>& scenario_names() {
  return catalog().names();
}

std::filesystem::path scenario_path(const std::string& name_or_path) {
  return catalog().resolve(name_or_path);
}

std::string reference_from(const std::string& scenario_file, const std::string& reference) {
  if (!is_path(reference) || reference == "-") return reference;
  return (std::filesystem::path(scenario_file).parent_path() / reference).string();
}

}  // namespace ridge::scenario
