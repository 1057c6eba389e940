#include "ridge/sweep/journal.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/ordered_json.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace ridge::sweep {
namespace {

constexpr int kFormat = 1;
constexpr std::size_t kChecksum = 9;  // eight hexadecimal digits and a space

[[noreturn]] void cannot(const char* what, const std::string& path) {
  throw UserError(fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)));
}

std::string line_of(std::string_view text) {
  const auto* bytes = reinterpret_cast<const Bytef*>(text.data());
  return fmt::format("{:08x} {}\n", ::crc32(0, bytes, static_cast<uInt>(text.size())), text);
}

bool is_whole(std::string_view line) {  // with its end
  if (line.size() <= kChecksum || line.back() != '\n') return false;
  return line_of(line.substr(kChecksum, line.size() - kChecksum - 1)) == line;
}

// The lines of a file from `offset` on, a piece in memory at a time.
class Lines {
 public:
  Lines(int fd, const std::string& path) : fd_(fd), path_(path) {}

  // False at the end. The last line may have no end.
  bool next(std::string_view& line) {
    begin_ += size_;
    size_ = 0;
    for (;;) {
      const auto end = buffer_.find('\n', used_ + size_);
      if (end != std::string::npos) {
        size_ = end + 1 - used_;
        break;
      }
      size_ = buffer_.size() - used_;
      if (!fill()) break;
    }
    line = std::string_view(buffer_).substr(used_, size_);
    used_ += size_;
    return size_ > 0;
  }
  // Of the line at hand.
  [[nodiscard]] std::uint64_t offset() const { return begin_; }

 private:
  bool fill() {
    buffer_.erase(0, used_);
    used_ = 0;
    constexpr std::size_t kPiece = std::size_t{1} << 20;
    const std::size_t had = buffer_.size();
    buffer_.resize(had + kPiece);
    ssize_t got = 0;
    do {
      got = ::read(fd_, buffer_.data() + had, kPiece);
    } while (got < 0 && errno == EINTR);
    if (got < 0) cannot("read", path_);
    buffer_.resize(had + static_cast<std::size_t>(got));
    return got > 0;
  }

  int fd_;
  const std::string& path_;
  std::string buffer_;
  std::size_t used_ = 0;
  std::size_t size_ = 0;
  std::uint64_t begin_ = 0;
};

[[noreturn]] void no_journal(const std::string& path) {
  throw UserError(fmt::format(
      "{}: expected the journal of a sweep, as --journal writes it; this is another file", path));
}

JournalHeader header_of(std::string_view line, const std::string& path) {
  if (!is_whole(line)) no_journal(path);
  const OrderedJson told = OrderedJson::parse(line.substr(kChecksum), nullptr, false);
  if (!told.is_object() || !told.contains("ridge_sweep_journal")) no_journal(path);
  if (told["ridge_sweep_journal"] != kFormat) {
    throw UserError(fmt::format("{}: a journal of another format than this ridge knows", path));
  }
  return {.maker = told.at("maker"),
          .question = told.at("question"),
          .scenario = JsonDocument(told.at("file"), nlohmann::json(told.at("scenario")))};
}

void sync_folder_of(const std::string& path) {
  auto folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::fsync(fd);
  ::close(fd);
}

void write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) cannot("write", path);
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

}  // namespace

struct Journal::File {
  std::string path;
  int fd = -1;
  std::uint64_t end = 0;  // of the last whole line

  explicit File(std::string of) : path(std::move(of)) {}
  File(const File&) = delete;
  File(File&& other) noexcept
      : path(std::move(other.path)), fd(std::exchange(other.fd, -1)), end(other.end) {}
  File& operator=(File&&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd >= 0) ::close(fd);
  }

  // With its first line, all at once: there is no file without one.
  void make(std::string_view header) const {
    const std::string line = line_of(header);
    std::string temporary = path + ".XXXXXX";
    const int made = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (made < 0) cannot("write", path);
    try {
      write_all(made, line, path);
      if (::fchmod(made, 0644) != 0 || ::fsync(made) != 0) cannot("write", path);
      // Of two that begin at once, the first keeps the name.
      if (::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) cannot("write", path);
    } catch (...) {
      ::unlink(temporary.c_str());
      ::close(made);
      throw;
    }
    ::unlink(temporary.c_str());
    ::close(made);
    sync_folder_of(path);
  }
};

Journal::Journal(std::string path, std::string maker)
    : maker_(std::move(maker)), name_(path), unnamed_(path.empty()) {
  files_.emplace_back(std::move(path));
}

Journal::Journal(std::vector<std::string> paths, std::string maker)
    : maker_(std::move(maker)),
      name_(paths.size() == 1 ? paths.front() : fmt::format("{} journals", paths.size())),
      read_only_(true) {
  for (std::string& path : paths) files_.emplace_back(std::move(path));
}

Journal::~Journal() = default;

JsonDocument Journal::scenario_of(const std::string& path) {
  File file(path);
  file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.fd < 0) cannot("read", path);
  Lines lines(file.fd, path);
  std::string_view line;
  if (!lines.next(line)) no_journal(path);
  return header_of(line, path).scenario;
}

void Journal::open(const std::string& question, const JsonDocument& scenario) {
  const std::lock_guard lock(mutex_);
  for (std::size_t f = 0; f < files_.size(); ++f) {
    File& file = files_[f];
    if (unnamed_) {
      std::string name = (std::filesystem::temp_directory_path() / "ridge-XXXXXX").string();
      file.fd = ::mkostemp(name.data(), O_CLOEXEC | O_APPEND);
      if (file.fd < 0) cannot("write", name);
      ::unlink(name.c_str());
      file.path = name;
      continue;
    }
    if (!read_only_ && !std::filesystem::exists(file.path)) {
      const OrderedJson header = {{"ridge_sweep_journal", kFormat},
                                  {"maker", maker_},
                                  {"question", question},
                                  {"file", scenario.name()},
                                  {"scenario", OrderedJson(scenario.json())}};
      file.make(header.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
    }
    file.fd = ::open(file.path.c_str(), (read_only_ ? O_RDONLY : O_RDWR | O_APPEND) | O_CLOEXEC);
    if (file.fd < 0) cannot(read_only_ ? "read" : "write", file.path);
    if (!read_only_ && ::flock(file.fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) cannot("lock", file.path);
      throw UserError(fmt::format("{}: another process writes to this journal", file.path));
    }
    load(f, question);
  }
}

void Journal::load(std::size_t f, const std::string& question) {
  File& file = files_[f];
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) cannot("read", file.path);
  if (!S_ISREG(status.st_mode)) no_journal(file.path);
  Lines lines(file.fd, file.path);
  std::string_view line;
  if (!lines.next(line)) no_journal(file.path);
  const JournalHeader header = header_of(line, file.path);
  if (header.maker != maker_) {
    throw UserError(fmt::format(
        "{}: this journal was written by {}; this is {}, which may answer otherwise. Go on with "
        "that, or begin another journal",
        file.path, header.maker, maker_));
  }
  if (header.question != question) {
    throw UserError(fmt::format(
        "{}: this journal is of another question: since it was begun, {} or a file that it names "
        "has changed. Begin another journal",
        file.path, header.scenario.name()));
  }
  file.end = line.size();
  for (std::size_t number = 2; lines.next(line); ++number) {
    if (!is_whole(line)) {
      // What a run that was ended had begun to write.
      const bool last = lines.offset() + line.size() == static_cast<std::uint64_t>(status.st_size);
      if (last) break;
      throw UserError(
          fmt::format("{}: line {} is damaged: its checksum is another. Without that line, its "
                      "points are asked again",
                      file.path, number));
    }
    const std::string_view answer = line.substr(kChecksum, line.size() - kChecksum - 1);
    ChunkId id;
    unsigned long long chunk = 0;
    if (std::sscanf(std::string(answer.substr(0, 64)).c_str(), "{\"part\":%u,\"chunk\":%llu",
                    &id.part, &chunk) != 2) {
      no_journal(file.path);
    }
    id.chunk = chunk;
    places_.emplace(id,
                    Place{.file = f, .offset = lines.offset() + kChecksum, .size = answer.size()});
    file.end = lines.offset() + line.size();
  }
  if (!read_only_ && ::ftruncate(file.fd, static_cast<off_t>(file.end)) != 0) {
    cannot("write", file.path);
  }
}

bool Journal::contains(ChunkId id) const {
  const std::lock_guard lock(mutex_);
  return places_.contains(id);
}

std::size_t Journal::size() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

std::optional<std::string> Journal::find(ChunkId id) const {
  const std::unique_lock lock(mutex_);
  const auto found = places_.find(id);
  if (found == places_.end()) return std::nullopt;
  const Place place = found->second;
  const File& file = files_[place.file];
  std::string out(place.size, '\0');
  std::size_t have = 0;
  while (have < out.size()) {
    const ssize_t got = ::pread(file.fd, out.data() + have, out.size() - have,
                                static_cast<off_t>(place.offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) cannot("read", file.path);
    have += static_cast<std::size_t>(got);
  }
  return out;
}

void Journal::append(ChunkId id, std::string_view answer) {
  const std::lock_guard lock(mutex_);
  RIDGE_INVARIANT(!read_only_, "a journal that is only read was to be written");
  File& file = files_.front();
  const std::string line = line_of(answer);
  try {
    write_all(file.fd, line, file.path);
    if (!unnamed_ && ::fdatasync(file.fd) != 0) cannot("write", file.path);
  } catch (const UserError&) {
    // A full disk leaves half a line; one that stays all the same is not read (is_whole).
    [[maybe_unused]] const int cut = ::ftruncate(file.fd, static_cast<off_t>(file.end));
    throw;
  }
  places_.emplace(id, Place{.file = 0, .offset = file.end + kChecksum, .size = answer.size()});
  file.end += line.size();
}

}  // namespace ridge::sweep
