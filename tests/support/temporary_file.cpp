#include "temporary_file.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace ridge::test {

TemporaryFile::TemporaryFile(const std::string& name, std::string_view contents) {
  std::string folder = (std::filesystem::temp_directory_path() / "ridge-test-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = std::filesystem::path(folder) / name;
  std::ofstream(path_, std::ios::binary) << contents;
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;
  std::filesystem::remove_all(path_.parent_path(), ignored);
}

}  // namespace ridge::test
