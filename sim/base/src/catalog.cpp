#include "ridge/base/catalog.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge {

namespace fs = std::filesystem;

const fs::path& data_root() {
  static const fs::path root = [] {
    if (const char* named = std::getenv("RIDGE_DATA"); named != nullptr && *named != '\0') {
      return fs::path(named);
    }
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    const fs::path installed = program.parent_path().parent_path() / "share" / "ridge";
    return fs::is_directory(installed, ignored) ? installed : fs::path(RIDGE_SOURCE_DATA);
  }();
  return root;
}

Catalog::Catalog(std::string what, const fs::path& folder)
    : what_(std::move(what)), folder_(data_root() / folder) {
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder_, failure)) {
    if (entry.path().extension() == ".json") names_.push_back(entry.path().stem().string());
  }
  if (failure) {
    throw UserError(
        fmt::format("{}: cannot read the folder of shipped data: {}; set RIDGE_DATA to "
                    "the folder that holds it",
                    folder_.string(), failure.message()));
  }
  std::sort(names_.begin(), names_.end());
}

namespace {

// A few are enough to show what a name looks like; all of them would bury the rest of the message.
std::string some_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kShown));
  return fmt::format("{}{}", fmt::join(names.begin(), end, ", "),
                     names.size() > kShown ? ", ..." : "");
}

}  // namespace

fs::path Catalog::resolve(std::string_view name_or_path) const {
  if (name_or_path.ends_with(".json") || name_or_path.find('/') != std::string_view::npos ||
      name_or_path == "-") {
    return name_or_path;
  }
  if (std::find(names_.begin(), names_.end(), name_or_path) == names_.end()) {
    throw UserError(fmt::format("expected {} ({}) or the path of a JSON file, got \"{}\"{}", what_,
                                some_names(names_), name_or_path,
                                did_you_mean(name_or_path, names_)));
  }
  return folder_ / (std::string(name_or_path) + ".json");
}

}  // namespace ridge
