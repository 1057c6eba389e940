// What a page answers, as it is kept in the page.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/view/page.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ridge::report {

struct Asked {
  std::string maker;    // "Ridge 0.1.0, commit 2d3230c"
  std::string command;  // as it was typed
  std::filesystem::path page;
};

// Throws UserError for a page whose name does not end in .html; `option` named it.
void check_page_path(const std::string& path, std::string_view option);

// The question in the scenario `file`, which `again` ("ridge simulate") answers. Paths in it count
// from the page's folder, and a seed given on the command line is in it. Throws UserError.
[[nodiscard]] view::PageQuestion question_of(const std::filesystem::path& file, const Asked& asked,
                                             std::string again,
                                             std::optional<std::uint64_t> seed = {});
// The same of one that is read already, and perhaps changed: paths in it count from the folder of
// the file that it is named for.
[[nodiscard]] view::PageQuestion question_of(const JsonDocument& document, const Asked& asked,
                                             std::string again,
                                             std::optional<std::uint64_t> seed = {});

}  // namespace ridge::report
