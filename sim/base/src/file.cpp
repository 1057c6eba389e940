#include "ridge/base/file.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/lowercase.hpp"

#include <cctype>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace ridge {
namespace {

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = ::write(fd, contents.data(), contents.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    contents.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

[[noreturn]] void cannot(std::string_view what, const std::filesystem::path& path, int error) {
  const std::string message = fmt::format("cannot {}: {}", what, std::strerror(error));
  throw UserError(fmt::format("{}: {}", path.string(), message), {{path.string(), {}, message}});
}

}  // namespace

namespace {

std::string read_all(int fd, const std::filesystem::path& path, std::size_t max_bytes) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) cannot("read", path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw UserError(fmt::format("{}: expected a file, got a directory", path.string()));
  }
  std::string contents;
  std::string buffer(std::size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      cannot("read", path, errno);
    }
    if (got == 0) return contents;
    contents.append(buffer, 0, static_cast<std::size_t>(got));
    if (contents.size() > max_bytes) {
      throw UserError(fmt::format("{}: expected a file of at most {} MiB, got a larger one",
                                  path.string(), max_bytes >> 20U));
    }
  }
}

}  // namespace

std::string digest_of(std::string_view text) {
  boost::uuids::name_generator_sha1 digest(boost::uuids::ns::oid());
  return boost::uuids::to_string(digest(text.data(), text.size()));
}

namespace {
thread_local ReadRecord* reading = nullptr;
}

ReadRecord::ReadRecord() : outer_(std::exchange(reading, this)) {}
ReadRecord::ReadRecord(Apart /*apart*/) : ReadRecord() {
  apart_ = true;
}
ReadRecord::~ReadRecord() {
  reading = outer_;
}
std::string ReadRecord::digest() const {
  return digest_of(digests_);
}

void ReadRecord::count(const std::string& digest) {
  for (ReadRecord* record = reading; record != nullptr; record = record->told()) {
    if (record->digests_.find(digest) == std::string::npos) record->digests_ += digest;
  }
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  std::string contents;
  if (path == "-") {
    // It cannot be read again, and what it is decides how it is read.
    static const std::string input = read_all(STDIN_FILENO, path, max_bytes);
    contents = input;
  } else {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) cannot("read", path, errno);
    contents = read_all(file.get(), path, max_bytes);
  }
  if (reading != nullptr) {
    const std::string digest = digest_of(contents);
    for (ReadRecord* record = reading; record != nullptr; record = record->told()) {
      record->digests_ += digest;
    }
  }
  return contents;
}

std::string unpacked(std::string contents, std::string_view name, std::size_t max_bytes) {
  if (!contents.starts_with("\x1f\x8b")) return contents;
  z_stream stream{};
  constexpr int kGzip = 16;
  if (::inflateInit2(&stream, MAX_WBITS + kGzip) != Z_OK) throw std::bad_alloc();
  const struct End {
    z_stream& stream;
    ~End() { ::inflateEnd(&stream); }
  } end{stream};
  stream.next_in = reinterpret_cast<Bytef*>(contents.data());
  stream.avail_in = static_cast<uInt>(contents.size());
  std::string out;
  std::string buffer(std::size_t{1} << 16, '\0');
  int state = Z_OK;
  while (state == Z_OK || (state == Z_STREAM_END && stream.avail_in > 0)) {
    // A gzip file may be several, one behind the other.
    if (state == Z_STREAM_END && ::inflateReset(&stream) != Z_OK) break;
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    state = ::inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, 0, buffer.size() - stream.avail_out);
    if (out.size() > max_bytes) {
      throw UserError(fmt::format("{}: expected at most {} MiB once unpacked, got more", name,
                                  max_bytes >> 20U));
    }
  }
  if (state != Z_STREAM_END) throw UserError(fmt::format("{}: not a whole gzip file", name));
  return out;
}

FileWriter::FileWriter(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status {};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    throw UserError(fmt::format("{}: cannot write: it is a directory", path_.string()));
  }
  if (exists && !S_ISREG(status.st_mode)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    mode_ = exists ? status.st_mode & 07777U : 0644U;
    std::string name = path_.string() + ".XXXXXX";
    fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd_ >= 0) temporary_ = std::move(name);
  }
  if (fd_ < 0) cannot("write", path_, errno);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void FileWriter::write(std::string_view contents) {
  if (!write_all(fd_, contents)) cannot("write", path_, errno);
}

void FileWriter::finish() {
  if (!temporary_.empty() && (::fchmod(fd_, mode_) != 0 || ::fsync(fd_) != 0))
    cannot("write", path_, errno);
  const int fd = fd_;
  fd_ = -1;
  // Network file systems report a full disk as late as here.
  if (::close(fd) != 0) cannot("write", path_, errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) cannot("write", path_, errno);
  temporary_.clear();
}

void write_file(const std::filesystem::path& path, std::string_view contents) {
  FileWriter file(path);
  file.write(contents);
  file.finish();
}

void make_folder(const std::filesystem::path& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) {
    throw UserError(
        fmt::format("{}: cannot make this folder: {}", path.string(), failure.message()));
  }
}

std::string file_name_of(std::string_view title) {
  std::string out;
  for (const char c : title) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out.push_back(lowercase(c));
    } else if (!out.empty() && out.back() != '-') {
      out.push_back('-');
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

}  // namespace ridge
