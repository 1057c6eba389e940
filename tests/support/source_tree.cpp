#include "source_tree.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace ridge::test {

namespace fs = std::filesystem;

fs::path source_path(std::string_view relative) {
  return fs::path(RIDGE_SOURCE_DIR) / relative;
}

std::string source_text(std::string_view relative) {
  std::ifstream file(source_path(relative), std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + source_path(relative).string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<fs::path> source_files(std::string_view folder,
                                   const std::vector<std::string>& extensions) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(source_path(folder))) {
    if (entry.is_regular_file() && std::find(extensions.begin(), extensions.end(),
                                             entry.path().extension()) != extensions.end()) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace ridge::test
