// The kinds of JSON file that Ridge reads, and how each is checked.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ridge::files {

struct FileCheck {
  std::string kind;                   // "model"; empty where it could not be told
  std::vector<std::string> problems;  // each names the file and the place
};

// Reads the file as what it says it is ("$schema", else its keys) and collects every problem.
[[nodiscard]] FileCheck check_file(const std::filesystem::path& path);

}  // namespace ridge::files
