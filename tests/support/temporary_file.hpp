// A file that lasts as long as the test that needs it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace ridge::test {

class TemporaryFile {
 public:
  // In a folder of its own, so that its name can be what the test wants.
  TemporaryFile(const std::string& name, std::string_view contents);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace ridge::test
