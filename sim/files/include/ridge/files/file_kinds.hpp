// The kinds of JSON file that Ridge reads, and how each is checked.
#pragma once

#include "ridge/base/error.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::files {

struct FileCheck {
  std::string kind;                   // "model"; empty where it could not be told
  std::vector<std::string> problems;  // each names the file and the place
  std::vector<Mistake> mistakes;      // the same, in parts
  // Of a file in order: what it leaves to a default that its answer depends on, place and value.
  std::vector<std::string> defaults;
};

// Reads the file as what it says it is ("$schema", else its keys) and collects every problem.
[[nodiscard]] FileCheck check_file(const std::filesystem::path& path);

struct CheckedFile {
  std::string file;  // as it was named
  FileCheck check;
};
[[nodiscard]] std::string check_json(const std::vector<CheckedFile>& files);
[[nodiscard]] const view::AnswerDescription& check_answer();

// The kinds, as their schemas are named: "chip".
[[nodiscard]] std::vector<std::string> schema_names();
// docs/schema/NAME.schema.json and docs/keys/NAME.md; nothing for an unknown name.
[[nodiscard]] std::optional<std::string> schema_text(const std::string& name);
[[nodiscard]] std::optional<std::string> keys_page(const std::string& name);

}  // namespace ridge::files
