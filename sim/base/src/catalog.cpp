#include "ridge/base/catalog.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge {

namespace fs = std::filesystem;

namespace {

fs::path& carried_data() {
  static fs::path root;
  return root;
}

// Sorted stems of the JSON files in a folder.
std::vector<std::string> json_files(const fs::path& folder, std::error_code& failure) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

void use_data(fs::path root) {
  carried_data() = std::move(root);
}

const fs::path& data_root() {
  static const fs::path root = [] {
    if (const char* named = std::getenv("RIDGE_DATA"); named != nullptr && *named != '\0') {
      return fs::path(named);
    }
    if (!carried_data().empty()) return carried_data();
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    const fs::path beside = program.parent_path().parent_path() / "share" / "ridge";
    if (fs::is_directory(beside, ignored)) return beside;
    for (const fs::path place :
         {RIDGE_SOURCE_DATA, RIDGE_INSTALLED_DATA, "/usr/local/share/ridge"}) {
      if (fs::is_directory(place, ignored)) return place;
    }
    return fs::path("/usr/share/ridge");
  }();
  return root;
}

fs::path own_library() {
  // The XDG Base Directory Specification: a relative path is to be ignored.
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && *config == '/') {
    return fs::path(config) / "ridge";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return fs::path(home) / ".config" / "ridge";
  }
  return {};
}

Catalog::Catalog(std::string what, const fs::path& folder, std::string_view own)
    : what_(std::move(what)), folder_(data_root() / folder) {
  std::error_code failure;
  names_ = json_files(folder_, failure);
  if (failure) {
    throw UserError(
        fmt::format("{}: cannot read the folder of shipped data: {}; set RIDGE_DATA to "
                    "the folder that holds it",
                    folder_.string(), failure.message()));
  }
  const fs::path library = own.empty() ? fs::path() : own_library();
  if (library.empty() || !fs::exists(library / own, failure)) return;
  own_folder_ = library / own;
  own_names_ = json_files(own_folder_, failure);
  if (failure) {
    throw UserError(fmt::format("{}: cannot read this folder of your own parts: {}",
                                own_folder_.string(), failure.message()));
  }
  std::vector<std::string> all;
  std::set_union(names_.begin(), names_.end(), own_names_.begin(), own_names_.end(),
                 std::back_inserter(all));
  names_ = std::move(all);
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

bool is_path(std::string_view name_or_path) {
  return name_or_path.ends_with(".json") || name_or_path.ends_with(".html") ||
         name_or_path.find('/') != std::string_view::npos || name_or_path == "-";
}

fs::path Catalog::resolve(std::string_view name_or_path) const {
  if (is_path(name_or_path)) return name_or_path;
  if (std::find(names_.begin(), names_.end(), name_or_path) == names_.end()) {
    throw UserError(fmt::format("expected {} ({}) or the path of a JSON file, got \"{}\"{}", what_,
                                some_names(names_), name_or_path,
                                did_you_mean(name_or_path, names_)));
  }
  const std::string file = std::string(name_or_path) + ".json";
  if (std::find(own_names_.begin(), own_names_.end(), name_or_path) == own_names_.end()) {
    return folder_ / file;
  }
  std::error_code ignored;
  if (fs::exists(folder_ / file, ignored)) {
    throw UserError(
        fmt::format("\"{}\" is {} that ships with Ridge and also your own, {}; give yours another "
                    "name, or name it by its path",
                    name_or_path, what_, (own_folder_ / file).string()));
  }
  return own_folder_ / file;
}

}  // namespace ridge
