// Every kind of file that a user may hand to Ridge, for the fuzz targets and for the replay of what
// they found.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ridge::test {

struct FuzzedKind {
  std::string_view name;                  // its folder under tests/corpus
  void (*read)(const std::string& path);  // throws UserError; anything else is our fault
};

// A new kind of file is one line in file_kinds.cpp and a folder under tests/corpus.
[[nodiscard]] std::span<const FuzzedKind> fuzzed_kinds();

// Gives `text` to a kind as a file. True if it was accepted, false after a UserError.
bool accepts(const FuzzedKind& kind, std::string_view text);

}  // namespace ridge::test
