// Reading and writing whole files, with the system's reason in the error.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace ridge {

// The whole of a regular file. Throws UserError for a directory, an unreadable file, or one larger
// than `max_bytes`.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

// Writes through a temporary file in the same folder and renames it, so that a reader, a full disk
// or an interrupt never leaves half a file. Devices and pipes are written in place. Throws
// UserError.
void write_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace ridge
