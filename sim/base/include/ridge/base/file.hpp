// Reading and writing whole files, with the system's reason in the error.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

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
  // What is read while this lives is told to no record around it.
  struct Apart {};
  explicit ReadRecord(Apart apart);
  ReadRecord(const ReadRecord&) = delete;
  ReadRecord& operator=(const ReadRecord&) = delete;
  ~ReadRecord();

  // Of all contents, one after the other.
  [[nodiscard]] std::string digest() const;
  // Counts contents of this digest as read by this thread, once for each record.
  static void count(const std::string& digest);

 private:
  friend std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);
  [[nodiscard]] ReadRecord* told() const { return apart_ ? nullptr : outer_; }
  ReadRecord* outer_;
  bool apart_ = false;
  std::string digests_;
};

// What is read once in a process. Whoever asks for it counts as having read it; else what a
// question rests on would hang on who asked first.
template <typename T>
class ReadOnce {
 public:
  template <typename Read>
  explicit ReadOnce(Read&& read) {
    const ReadRecord record{ReadRecord::Apart{}};
    value_.emplace(read());
    digest_ = record.digest();
  }
  [[nodiscard]] const T& operator*() const {
    ReadRecord::count(digest_);
    return *value_;
  }
  [[nodiscard]] const T* operator->() const { return &**this; }

 private:
  std::optional<T> value_;
  std::string digest_;
};
template <typename Read>
explicit ReadOnce(Read&&) -> ReadOnce<std::invoke_result_t<Read>>;

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

// With all above it, where they are missing. Throws UserError.
void make_folder(const std::filesystem::path& path);

// A title as part of a file's name: small letters and digits, and a hyphen for all between them
// ("AFD 5A2F" is "afd-5a2f"); empty where it has none.
[[nodiscard]] std::string file_name_of(std::string_view title);

}  // namespace ridge
