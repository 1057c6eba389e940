// Reading and writing whole files, with the system's reason in the error.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace ridge {

// The whole of a regular file; "-" is standard input, which is read once and remembered. Throws
// UserError for a directory, an unreadable file, or one larger than `max_bytes`.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

// The same for equal texts, and for no others that anybody has met: SHA-1, as a UUID.
[[nodiscard]] std::string digest_of(std::string_view text);

// What the thread that made this reads by read_file() while it lives: whether two questions rest on
// the same contents.
class ReadRecord {
 public:
  ReadRecord();
  ReadRecord(const ReadRecord&) = delete;
  ReadRecord& operator=(const ReadRecord&) = delete;
  ~ReadRecord();

  // Of all contents, one after the other.
  [[nodiscard]] std::string digest() const;

 private:
  friend std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);
  ReadRecord* outer_;
  std::string digests_;
};

// What a gzip file holds; other contents as they are. `name` is that of the file in messages.
[[nodiscard]] std::string unpacked(std::string contents, std::string_view name,
                                   std::size_t max_bytes);

// Writes a file in pieces, through a temporary file in the same folder that takes the name at the
// end, so that a reader, a full disk or an interrupt never meets half a file. Devices and pipes are
// written in place. Every member throws UserError.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();  // without finish(), the file is as it was before

  void write(std::string_view contents);
  void finish();

 private:
  std::filesystem::path path_;
  std::string temporary_;  // empty where written in place, or once renamed
  unsigned mode_ = 0;
  int fd_ = -1;
};

// The same for contents that are at hand.
void write_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace ridge
