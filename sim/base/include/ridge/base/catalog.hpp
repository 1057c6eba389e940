// The data files that ship with Ridge, by name: models, chips, links, calibrations, scenarios.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {

// Where the shipped data lies: the folder named by the environment variable RIDGE_DATA, else
// share/ridge beside the installed program, else the source tree it was built from.
[[nodiscard]] const std::filesystem::path& data_root();

class Catalog {
 public:
  // `what` names the kind in messages ("a model"); `folder` is relative to the data root.
  Catalog(std::string what, const std::filesystem::path& folder);

  // Names of the JSON files in the folder, sorted.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::string& what() const { return what_; }

  // The path itself where `name_or_path` ends in ".json", contains a '/' or is "-" (standard input),
  // else the shipped file of that name. Throws UserError with the nearest name where there is none.
  [[nodiscard]] std::filesystem::path resolve(std::string_view name_or_path) const;

 private:
  std::string what_;
  std::filesystem::path folder_;
  std::vector<std::string> names_;
};

}  // namespace ridge
