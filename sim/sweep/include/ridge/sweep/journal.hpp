// The finished points of a sweep on disk, so that whatever ends a run loses none of them.
//
// A line each: the question first, then a chunk of points after another, in whatever order they
// were finished. A line begins with its checksum. Only the last may be torn, by the end of the run
// that wrote it, and is then written anew.
#pragma once

#include "ridge/base/json.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::sweep {

// Neighboring points of a sweep (part 0) or of one of its references (part 1 and on).
struct ChunkId {
  std::uint32_t part = 0;
  std::uint64_t chunk = 0;
  friend auto operator<=>(const ChunkId&, const ChunkId&) = default;
};

// Which of the chunks of a sweep are one's own: every count-th from the index-th on.
struct Shard {
  std::uint64_t index = 1;  // from 1
  std::uint64_t count = 1;
};

// What a journal is of. Two of equal digests answer one question.
struct JournalHeader {
  std::string maker;     // the program that wrote it, with its version
  std::string question;  // a digest of it and of every file that it rests on
  JsonDocument scenario;
};

// Every member may be called from any thread; all throw UserError.
class Journal {
 public:
  // One file, which is made where there is none; an unnamed one that goes with the program where
  // `path` is empty.
  explicit Journal(std::string path, std::string maker);
  // Several, of which none is written to.
  Journal(std::vector<std::string> paths, std::string maker);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  // The sweep that the first file is of.
  [[nodiscard]] static JsonDocument scenario_of(const std::string& path);

  // Reads what there is, or begins the file. Refuses a journal of another question, of another
  // version, one that is damaged, or one that another process writes to.
  void open(const std::string& question, const JsonDocument& scenario);

  [[nodiscard]] bool read_only() const { return read_only_; }
  // The file, or how many; empty for the unnamed one.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool contains(ChunkId id) const;
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::optional<std::string> find(ChunkId id) const;
  // On disk when it returns.
  void append(ChunkId id, std::string_view answer);

 private:
  struct File;
  struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;
    std::size_t size = 0;
  };
  void load(std::size_t file, const std::string& question);

  std::string maker_;
  std::string name_;
  bool unnamed_ = false;
  bool read_only_ = false;
  std::vector<File> files_;
  std::map<ChunkId, Place> places_;
  mutable std::mutex mutex_;
};

}  // namespace ridge::sweep
