// Ranks over MPI's C interface. Only the thread that joined calls it (MPI_THREAD_FUNNELED).
#include "ridge/base/error.hpp"
#include "ridge/base/ranks.hpp"

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
#include <unistd.h>

namespace ridge {
namespace {

enum Tag : int {
  kHello,   // to rank 0: of what question it is
  kWork,    // from rank 0: a piece
  kAnswer,  // to rank 0: what became of it
  kFailed,  // to rank 0: why it cannot go on
  kEnd,     // from rank 0: there is no more
};

// Pieces that a rank has at a time: one that it asks, one that it goes on with at once.
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

// mpirun ends the ranks that are left where one is lost, and asks them first.
std::atomic<bool> told_to_end{false};

// What rank 0 gives out, to others and to a thread of its own.
class Queue {
 public:
  explicit Queue(std::size_t pieces) : pieces_(pieces) {}

  std::optional<std::size_t> next() {
    const std::size_t piece = next_.fetch_add(1);
    if (piece >= pieces_) return std::nullopt;
    return piece;
  }
  void clear() { next_ = pieces_; }

 private:
  std::size_t pieces_;
  std::atomic<std::size_t> next_{0};
};

class MpiRanks final : public Ranks {
 public:
  MpiRanks() : exceptions_(std::uncaught_exceptions()) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_));
    strangers_ = size_ - 1;
    introduce();
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

  void begin(const std::string& question) override { question_ = question; }

  void lead(const std::vector<std::string>& pieces, const Ask& ask, const Finished& finished,
            const std::atomic<bool>* stop) override {
    Queue queue(pieces.size());
    Own own(queue, pieces, ask, stop);
    const auto stopped = [&] { return stop != nullptr && stop->load(); };
    const auto give_ahead = [&](int to) {
      for (int i = 0; i < kAhead; ++i) give(to, queue, pieces);
    };
    for (int other = 1; other < size_; ++other) {
      if (others_[static_cast<std::size_t>(other)].met) give_ahead(other);
    }
    std::size_t left = pieces.size();
    while (left > 0 || strangers_ > 0) {
      if (stopped()) {
        queue.clear();
        return;
      }
      if (auto done = own.take()) {
        finished(done->first, done->second);
        --left;
      } else if (auto message = receive_if_any()) {
        Other& other = others_[static_cast<std::size_t>(message->from)];
        if (message->tag == kHello) {
          --strangers_;
          meet(other, *message);
          give_ahead(message->from);
        } else if (message->tag == kFailed) {
          throw UserError(fmt::format("rank {}{}: {}", message->from, where(other), message->text));
        } else {
          const std::size_t piece = other.has.front();
          other.has.pop_front();
          finished(piece, message->text);
          --left;
          give(message->from, queue, pieces);
        }
      } else {
        look_for_lost();
        std::this_thread::sleep_for(kNap);
      }
    }
  }

  void end() override {
    for (int other = 1; other < size_; ++other) send(other, kEnd, {});
  }

  void follow(const std::string& question, const Ask& ask) override {
    send(0, kHello, question);
    for (;;) {
      const Message message = receive();
      if (message.tag == kEnd) return;
      send(0, kAnswer, ask(message.text));
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
    bool met = false;             // it has been told what is asked, and that is the same
    std::deque<std::size_t> has;  // in the order in which it answers
  };

  // Rank 0's own thread, which asks while this one listens.
  class Own {
   public:
    Own(Queue& queue, const std::vector<std::string>& pieces, const Ask& ask,
        const std::atomic<bool>* stop)
        : queue_(queue), thread_([this, &queue, &pieces, &ask, stop] {
            try {
              while (const auto piece = queue.next()) {
                std::string answer = ask(pieces[*piece]);
                if (stop != nullptr && stop->load()) return;  // it may be half an answer
                const std::lock_guard lock(mutex_);
                answers_.emplace_back(*piece, std::move(answer));
              }
            } catch (...) {
              const std::lock_guard lock(mutex_);
              failure_ = std::current_exception();
            }
          }) {}
    Own(const Own&) = delete;
    Own& operator=(const Own&) = delete;
    ~Own() { queue_.clear(); }

    std::optional<std::pair<std::size_t, std::string>> take() {
      const std::lock_guard lock(mutex_);
      if (failure_) std::rethrow_exception(failure_);
      if (answers_.empty()) return std::nullopt;
      auto out = std::move(answers_.front());
      answers_.pop_front();
      return out;
    }

   private:
    std::mutex mutex_;
    std::deque<std::pair<std::size_t, std::string>> answers_;
    std::exception_ptr failure_;
    Queue& queue_;
    std::jthread thread_;
  };

  // Rank 0 learns who the others are at once, so that it can name one that is lost at any time.
  void introduce() {
    struct Who {
      std::array<char, 256> host{};
      pid_t process = 0;
    };
    Who mine{.process = ::getpid()};
    ::gethostname(mine.host.data(), mine.host.size() - 1);
    std::vector<Who> all(static_cast<std::size_t>(size_));
    check(MPI_Gather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, 0,
                     MPI_COMM_WORLD));
    host_ = mine.host.data();
    for (const Who& who : all) others_.push_back({.host = who.host.data(), .process = who.process});
  }

  void meet(Other& other, const Message& message) const {
    other.met = true;
    if (message.text == question_) return;
    throw UserError(fmt::format(
        "rank {}{}: it was asked another question: a file that this one names is another there",
        message.from, where(other)));
  }

  void give(int to, Queue& queue, const std::vector<std::string>& pieces) {
    const auto piece = queue.next();
    if (!piece) return;
    others_[static_cast<std::size_t>(to)].has.push_back(*piece);
    send(to, kWork, pieces[*piece]);
  }

  static std::string where(const Other& other) {
    return fmt::format(" (process {} on {})", other.process, other.host);
  }

  // MPI does not say that a rank is gone. Of this machine's, the system does; mpirun names it in
  // any case.
  void look_for_lost() {
    for (std::size_t r = 1; r < others_.size(); ++r) {
      const Other& other = others_[r];
      if (other.host != host_) continue;
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
  std::string host_;
  std::string question_;
  std::vector<Other> others_;
  int strangers_ = 0;  // of whom rank 0 has not heard
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

}  // namespace ridge
