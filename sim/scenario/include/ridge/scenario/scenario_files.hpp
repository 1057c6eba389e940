// Scenario files by name or path, and the files they refer to.
#pragma once

#include "ridge/base/json.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::scenario {

[[nodiscard]] const std::vector<std::string>& scenario_names();
[[nodiscard]] std::filesystem::path scenario_path(const std::string& name_or_path);

// A reference in a scenario file, made to count from where Ridge runs: a bare name is left alone, a
// relative path is taken from the folder of `scenario_file`.
[[nodiscard]] std::string reference_from(const std::string& scenario_file,
                                         const std::string& reference);


}  // namespace ridge::scenario
