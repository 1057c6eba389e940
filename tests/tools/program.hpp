// Runs the ridge program.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ridge::test {

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
};

// Another program, found on PATH.
[[nodiscard]] Outcome run(const std::string& program, const std::vector<std::string>& arguments);
[[nodiscard]] Outcome ridge(const std::vector<std::string>& arguments);

// Of a file, byte by byte.
[[nodiscard]] std::string contents(const std::string& path);
[[nodiscard]] std::size_t lines(const std::string& path);

}  // namespace ridge::test
