// Several processes that answer one sweep together, as mpirun starts them. Rank 0 gives the chunks
// out, one more to whoever has finished one, and keeps what comes back; it asks some itself. An
// answer travels as the line that a journal keeps of it.
#pragma once

#include "ridge/sweep/journal.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::sweep {

class Ranks {
 public:
  // Null where this process was started alone. Throws UserError where mpirun started it, and it was
  // built without MPI.
  [[nodiscard]] static std::unique_ptr<Ranks> join();

  virtual ~Ranks() = default;

  [[nodiscard]] virtual int rank() const = 0;

  using Ask = std::function<std::string(ChunkId)>;
  using Finished = std::function<void(ChunkId, std::string_view line)>;
  // Rank 0: until all of these are finished, told one at a time, or `stop` is raised. Throws
  // UserError where a rank is lost, fails, or was asked another question.
  virtual void lead(const std::vector<ChunkId>& wanted, const std::string& question, const Ask& ask,
                    const Finished& finished, const std::atomic<bool>* stop) = 0;
  // The others: until rank 0 has no more.
  virtual void follow(const std::string& question, const Ask& ask) = 0;
  // The others, where they cannot: rank 0 tells why, and ends all.
  [[noreturn]] virtual void fail(std::string_view why) = 0;
};

}  // namespace ridge::sweep
