// Ranks over MPI's C interface. Only the thread that joined calls it (MPI_THREAD_FUNNELED).
#include "ridge/base/error.hpp"
#include "ridge/sweep/ranks.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <mpi.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace ridge::sweep {
namespace {

using nlohmann::json;

enum Tag : int {
  kHello,   // to rank 0: who it is, and of what question
  kWork,    // from rank 0: a chunk
  kAnswer,  // to rank 0: its chunk's line
  kFailed,  // to rank 0: why it cannot go on
  kEnd,     // from rank 0: there is no more
};

// Chunks that a rank has at a time: one that it asks, one that it goes on with at once.
constexpr int kAhead = 2;
// MPI's own waiting keeps a core busy.
constexpr std::chrono::microseconds kNap{200};

void check(int code) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int size = 0;
  MPI_Error_string(code, text.data(), &size);
  throw UserError(
      fmt::format("MPI: {}", std::string_view(text.data(), static_cast<std::size_t>(size))));
}

struct Message {
  int from = 0;
  int tag = 0;
  std::string text;
};

void send(int to, Tag tag, std::string_view text) {
  check(MPI_Send(text.data(), static_cast<int>(text.size()), MPI_BYTE, to, tag, MPI_COMM_WORLD));
}

std::optional<Message> receive_if_any() {
  int any = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &any, &status));
  if (any == 0) return std::nullopt;
  int size = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &size));
  Message out{.from = status.MPI_SOURCE,
              .tag = status.MPI_TAG,
              .text = std::string(static_cast<std::size_t>(size), '\0')};
  check(MPI_Recv(out.text.data(), size, MPI_BYTE, out.from, out.tag, MPI_COMM_WORLD, &status));
  return out;
}

Message receive() {
  for (;;) {
    if (auto message = receive_if_any()) return std::move(*message);
    std::this_thread::sleep_for(kNap);
  }
}

std::string text_of(ChunkId id) {
  return fmt::format("{} {}", id.part, id.chunk);
}
ChunkId chunk_of(const std::string& text) {
  char* end = nullptr;
  ChunkId out;
  out.part = static_cast<std::uint32_t>(std::strtoul(text.c_str(), &end, 10));
  out.chunk = std::strtoull(end, nullptr, 10);
  return out;
}

std::string host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// mpirun ends the ranks that are left where one is lost, and asks them first.
std::atomic<bool> told_to_end{false};

// What rank 0 gives out, to others and to a thread of its own.
class Queue {
 public:
  explicit Queue(const std::vector<ChunkId>& wanted) : left_(wanted.begin(), wanted.end()) {}

  std::optional<ChunkId> next() {
    const std::lock_guard lock(mutex_);
    if (left_.empty()) return std::nullopt;
    const ChunkId id = left_.front();
    left_.pop_front();
    return id;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    left_.clear();
  }

 private:
  std::mutex mutex_;
  std::deque<ChunkId> left_;
};

class MpiRanks final : public Ranks {
 public:
  MpiRanks() : exceptions_(std::uncaught_exceptions()) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_));
    std::signal(SIGTERM, [](int) { told_to_end = true; });
  }
  MpiRanks(const MpiRanks&) = delete;
  MpiRanks& operator=(const MpiRanks&) = delete;
  // Whoever leaves by an exception leaves without a farewell, and mpirun ends the others: to wait
  // for them here would be to wait for ever.
  ~MpiRanks() override {
    if (std::uncaught_exceptions() == exceptions_) MPI_Finalize();
  }

  [[nodiscard]] int rank() const override { return rank_; }

  void lead(const std::vector<ChunkId>& wanted, const std::string& question, const Ask& ask,
            const Finished& finished, const std::atomic<bool>* stop) override {
    others_.assign(static_cast<std::size_t>(size_), {});
    Queue queue(wanted);
    Own own(queue, ask, stop);
    const auto stopped = [&] { return stop != nullptr && stop->load(); };
    std::size_t left = wanted.size();
    int strangers = size_ - 1;
    while (left > 0 || strangers > 0) {
      if (stopped()) {
        queue.clear();
        return;
      }
      if (auto line = own.take()) {
        finished(line->first, line->second);
        --left;
      } else if (auto message = receive_if_any()) {
        Other& other = others_[static_cast<std::size_t>(message->from)];
        if (message->tag == kHello) {
          --strangers;
          meet(other, *message, question);
          for (int i = 0; i < kAhead; ++i) give(message->from, queue);
        } else if (message->tag == kFailed) {
          throw UserError(fmt::format("rank {}{}: {}", message->from, where(other), message->text));
        } else {
          const ChunkId id = other.has.front();
          other.has.pop_front();
          finished(id, message->text);
          --left;
          give(message->from, queue);
        }
      } else {
        look_for_lost();
        std::this_thread::sleep_for(kNap);
      }
    }
    for (int other = 1; other < size_; ++other) send(other, kEnd, {});
  }

  void follow(const std::string& question, const Ask& ask) override {
    send(0, kHello,
         json({{"question", question}, {"host", host()}, {"process", ::getpid()}}).dump());
    for (;;) {
      const Message message = receive();
      if (message.tag == kEnd) return;
      send(0, kAnswer, ask(chunk_of(message.text)));
    }
  }

  void fail(std::string_view why) override {
    (void)MPI_Send(why.data(), static_cast<int>(why.size()), MPI_BYTE, 0, kFailed, MPI_COMM_WORLD);
    while (!told_to_end) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::_Exit(2);
  }

 private:
  struct Other {
    std::string host;
    pid_t process = 0;
    std::deque<ChunkId> has;  // in the order in which it answers
  };

  // Rank 0's own thread, which asks while this one listens.
  class Own {
   public:
    Own(Queue& queue, const Ask& ask, const std::atomic<bool>* stop)
        : thread_([this, &queue, &ask, stop] {
            try {
              while (const auto id = queue.next()) {
                std::string line = ask(*id);
                if (stop != nullptr && stop->load()) return;  // it may be half an answer
                const std::lock_guard lock(mutex_);
                lines_.emplace_back(*id, std::move(line));
              }
            } catch (...) {
              const std::lock_guard lock(mutex_);
              failure_ = std::current_exception();
            }
          }),
          queue_(queue) {}
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    ~Own() { queue_.clear(); }

    std::optional<std::pair<ChunkId, std::string>> take() {
      const std::lock_guard lock(mutex_);
      if (failure_) std::rethrow_exception(failure_);
      if (lines_.empty()) return std::nullopt;
      auto out = std::move(lines_.front());
      lines_.pop_front();
      return out;
    }

   private:
    std::mutex mutex_;
    std::deque<std::pair<ChunkId, std::string>> lines_;
    std::exception_ptr failure_;
    std::jthread thread_;
    Queue& queue_;
  };

  void meet(Other& other, const Message& message, const std::string& question) const {
    const json hello = json::parse(message.text);
    other.host = hello.at("host");
    other.process = hello.at("process");
    if (hello.at("question") == question) return;
    throw UserError(fmt::format(
        "rank {}{}: it was asked another question: a file that the sweep names is another there",
        message.from, where(other)));
  }

  void give(int to, Queue& queue) {
    const auto id = queue.next();
    if (!id) return;
    others_[static_cast<std::size_t>(to)].has.push_back(*id);
    send(to, kWork, text_of(*id));
  }

  static std::string where(const Other& other) {
    if (other.host.empty()) return {};
    return fmt::format(" (process {} on {})", other.process, other.host);
  }

  // MPI does not say that a rank is gone. Of this machine's, the system does; mpirun names it in
  // any case.
  void look_for_lost() {
    for (std::size_t r = 1; r < others_.size(); ++r) {
      const Other& other = others_[r];
      if (other.process == 0 || other.host != host()) continue;
      if (::kill(other.process, 0) == 0 || errno != ESRCH) continue;
      throw UserError(fmt::format("rank {}{} was lost", r, where(other)));
    }
    if (told_to_end) {
      throw UserError("a rank was lost, or mpirun was ended; what mpirun says names it");
    }
  }

  int exceptions_;
  int rank_ = 0;
  int size_ = 1;
  std::vector<Other> others_;
};

}  // namespace

std::unique_ptr<Ranks> Ranks::join() {
  // Started alone, MPI is left alone, too: to begin it takes half a second.
  bool launched = false;
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    launched = launched || std::getenv(variable) != nullptr;
  }
  if (!launched) return nullptr;
  return std::make_unique<MpiRanks>();
}

}  // namespace ridge::sweep
