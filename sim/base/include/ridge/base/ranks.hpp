// Several processes that answer one question together, as mpirun starts them. Rank 0 gives the work
// out in pieces, one more to whoever has finished one, and keeps what comes back; it does some
// itself. Pieces and their answers travel as text.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {

class Ranks {
 public:
  // Null where this process was started alone. Throws UserError where mpirun started it, and it was
  // built without MPI.
  [[nodiscard]] static std::unique_ptr<Ranks> join();

  virtual ~Ranks() = default;

  [[nodiscard]] virtual int rank() const = 0;

  using Ask = std::function<std::string(const std::string& piece)>;
  using Finished = std::function<void(std::size_t piece, std::string_view answer)>;
  // Rank 0, first: what is asked, which must be the same for all.
  virtual void begin(const std::string& question) = 0;
  // Rank 0: until all of these are finished, told one at a time, or `stop` is raised. Throws
  // UserError where a rank is lost, fails, or was asked another question.
  virtual void lead(const std::vector<std::string>& pieces, const Ask& ask,
                    const Finished& finished, const std::atomic<bool>* stop) = 0;
  // Rank 0: there is no more.
  virtual void end() = 0;
  // The others: until rank 0 has no more.
  virtual void follow(const std::string& question, const Ask& ask) = 0;
  // The others, where they cannot: rank 0 tells why, and ends all.
  [[noreturn]] virtual void fail(std::string_view why) = 0;
};

}  // namespace ridge
