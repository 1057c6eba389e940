#include "names.hpp"

#include "ridge/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {

bool is_path(std::string_view name) {
  return name.ends_with(".json") || name.find('/') != std::string_view::npos || name == "-";
}

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

}  // namespace ridge::tools
