// Data files by name, those that ship with Ridge and one's own: models, chips, calibrations,
// scenarios.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {

// Where the shipped data lies: the folder named by the environment variable RIDGE_DATA, else what
// use_data() said, else share/ridge beside the installed program, else the source tree it was built
// from, else where that was to be installed, else where a system has what is installed.
[[nodiscard]] const std::filesystem::path& data_root();

// For a program that carries its own copy of the data; before the first data_root().
void use_data(std::filesystem::path root);

// Where one's own parts lie, in folders named for their kind: $XDG_CONFIG_HOME/ridge, else
// ~/.config/ridge. Empty where neither variable is set. It need not exist.
[[nodiscard]] std::filesystem::path own_library();

// Whether this is to be read as a path rather than looked up: it ends in ".json" or ".html" (a page
// holds the question it answers), contains a '/' or is "-" (standard input).
[[nodiscard]] bool is_path(std::string_view name_or_path);

class Catalog {
 public:
  // `what` names the kind in messages ("a model"); `folder` is relative to the data root, and
  // `own`, where one may have parts of this kind, to one's own library.
  Catalog(std::string what, const std::filesystem::path& folder, std::string_view own = {});

  // Names of the JSON files in both folders, sorted.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::string& what() const { return what_; }

  // The path itself where it is one, else the file of that name. Throws UserError with the nearest
  // name where there is none, and where a shipped part and one's own share the name: neither
  // silently stands in for the other.
  [[nodiscard]] std::filesystem::path resolve(std::string_view name_or_path) const;

 private:
  std::string what_;
  std::filesystem::path folder_;
  std::filesystem::path own_folder_;
  std::vector<std::string> names_;
  std::vector<std::string> own_names_;
};

}  // namespace ridge
