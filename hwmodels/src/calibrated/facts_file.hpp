// A file of facts that comes with Ridge, or one of its kind.
#pragma once

#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"

#include <filesystem>

namespace ridge::hw::calibrated {

// Throws UserError with every mistake in it.
template <typename File>
File load_facts(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  File file;
  read_keys(JsonNode(document.json(), context), file);
  diagnostics.throw_if_errors();
  return file;
}

}  // namespace ridge::hw::calibrated
