// The source tree that the tests were built from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::test {

[[nodiscard]] std::filesystem::path source_path(std::string_view relative);

// The contents of a file named relative to the root. Throws where it cannot be read.
[[nodiscard]] std::string source_text(std::string_view relative);

// Regular files below a folder that end in one of `extensions` (".hpp"), sorted.
[[nodiscard]] std::vector<std::filesystem::path> source_files(
    std::string_view folder, const std::vector<std::string>& extensions);

}  // namespace ridge::test
