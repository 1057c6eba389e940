#include "barriers.hpp"

#include "error.hpp"

#include <cstring>
#include <utility>

namespace ridge::emulated {
namespace {

/// What an mbarrier's 8 bytes hold here: whoever overwrites them is found out.
constexpr std::uint64_t kSignature = 0x6d626172'72696572ull;
/// The range of a phase's count of bytes, both ways.
constexpr std::int64_t kMostBytes = (1 << 20) - 1;

}  // namespace

void TransactionBarriers::init(std::uint32_t address, std::uint32_t arrivals) {
  if (address % 8 != 0 || arrivals == 0 || arrivals >= 1u << 20) {
    fail("mbarrier.init at %#x for %u arrivals: 8-byte alignment and 1 .. 2^20 - 1 expected",
         address, arrivals);
  }
  std::memcpy(shared_.at(address, sizeof(kSignature)), &kSignature, sizeof(kSignature));
  Barrier barrier;
  barrier.arrivals = barrier.pending = arrivals;
  barrier.initialized_by = scheduler_.self();
  if (!barriers_.emplace(address, barrier).second) {
    fail("mbarrier at %#x initialized twice", address);
  }
}

void TransactionBarriers::fence_init() {
  for (auto& [address, barrier] : barriers_) {
    barrier.fenced |= barrier.initialized_by == scheduler_.self();
  }
}

TransactionBarriers::Barrier& TransactionBarriers::find(std::uint32_t address) {
  const auto found = barriers_.find(address);
  if (found == barriers_.end()) {
    fail("no mbarrier has been initialized at shared %#x", address);
  }
  if (std::memcmp(shared_.at(address, sizeof(kSignature)), &kSignature, sizeof(kSignature)) != 0) {
    fail("the mbarrier at shared %#x has been overwritten", address);
  }
  return found->second;
}

/// Completes the phase if nothing is to come.
void TransactionBarriers::settle(std::uint32_t address, Barrier& barrier) {
  if (barrier.bytes > kMostBytes || barrier.bytes < -kMostBytes) {
    fail("%lld bytes to come at the mbarrier at shared %#x, which counts to 2^20 - 1",
         static_cast<long long>(barrier.bytes), address);
  }
  if (barrier.pending == 0 && barrier.bytes < 0) {
    fail("%lld bytes more have landed at the mbarrier at shared %#x than were expected",
         static_cast<long long>(-barrier.bytes), address);
  }
  if (barrier.pending == 0 && barrier.bytes == 0) {
    ++barrier.phase;
    barrier.pending = barrier.arrivals;
    for (const unsigned thread : barrier.waiting) {
      scheduler_.wake(thread);
    }
    barrier.waiting.clear();
  }
}

void TransactionBarriers::arrive(std::uint32_t address, std::uint32_t expected_bytes) {
  scheduler_.pause();
  count_arrival(address, expected_bytes);
}

void TransactionBarriers::arrive_remotely(std::uint32_t address, Remote from) {
  if (!std::exchange(used_remotely_, true)) {
    scheduler_.add(*this);
  }
  require_published(address);
  under_way_.push_back({address, from});
}

void TransactionBarriers::step(Chance& chance) {
  std::swap(under_way_[chance.below(under_way_.size())], under_way_.back());
  const Arrival arrival = under_way_.back();
  under_way_.pop_back();
  count_arrival(arrival.address, 0);
}

void TransactionBarriers::finish_arrivals(const std::function<bool(const Remote&)>& released) {
  for (const Arrival& arrival : std::exchange(under_way_, {})) {
    if (released(arrival.from)) {
      count_arrival(arrival.address, 0);
    } else {
      under_way_.push_back(arrival);
    }
  }
}

void TransactionBarriers::count_arrival(std::uint32_t address, std::uint32_t expected_bytes) {
  Barrier& barrier = find(address);
  if (barrier.pending == 0) {
    fail(
        "an arrival at the mbarrier at shared %#x, whose phase has all of its %u and waits for "
        "%lld bytes",
        address, barrier.arrivals, static_cast<long long>(barrier.bytes));
  }
  barrier.bytes += expected_bytes;
  --barrier.pending;
  settle(address, barrier);
}

void TransactionBarriers::wait(std::uint32_t address, std::uint32_t parity, Scope scope) {
  scheduler_.pause();
  if (parity > 1) {
    fail("mbarrier wait for parity %u", parity);
  }
  for (;;) {
    Barrier& barrier = find(address);
    if ((barrier.phase & 1u) != parity) {
      if (barrier.stored_remotely && scope != Scope::kCluster) {
        fail(
            "a wait at the mbarrier at shared %#x, for which other CTAs store, that does not "
            "acquire what the cluster stored",
            address);
      }
      return;
    }
    barrier.waiting.push_back(scheduler_.self());
    scheduler_.suspend({"the mbarrier at shared %#x, parity %u", address, parity});
  }
}

void TransactionBarriers::publish() {
  for (auto& [address, barrier] : barriers_) {
    barrier.published = true;
  }
}

void TransactionBarriers::require_published(std::uint32_t address) {
  if (!find(address).published) {
    fail("no cluster_sync since the mbarrier at shared %#x was initialized", address);
  }
}

std::uint32_t TransactionBarriers::phase_for_copies(std::uint32_t address) {
  const Barrier& barrier = find(address);
  if (!barrier.fenced) {
    fail("a bulk copy signals the mbarrier at shared %#x, whose initialization was not fenced",
         address);
  }
  return barrier.phase;
}

void TransactionBarriers::complete(std::uint32_t address, std::uint32_t bytes,
                                   std::uint32_t phase) {
  Barrier& barrier = find(address);
  // It could have landed at once as well, and been counted in the phase of then.
  if (barrier.phase != phase) {
    fail(
        "a bulk copy or store issued in phase %u of the mbarrier at shared %#x lands in phase %u: "
        "others "
        "have completed what it was expected for",
        phase, address, barrier.phase);
  }
  barrier.bytes -= bytes;
  settle(address, barrier);
}

void TransactionBarriers::require_clean_end() const {
  if (!under_way_.empty()) {
    fail("a CTA ended while an arrival from thread %u of rank %u of its cluster was under way",
         under_way_.front().from.thread, under_way_.front().from.rank);
  }
  for (const auto& [address, barrier] : barriers_) {
    if (barrier.bytes < 0) {
      fail("%lld bytes have landed at the mbarrier at shared %#x that nobody has expected",
           static_cast<long long>(-barrier.bytes), address);
    }
  }
}

std::string TransactionBarriers::waited_for() const {
  std::string text;
  for (const auto& [address, barrier] : barriers_) {
    if (!barrier.waiting.empty()) {
      char line[160];
      std::snprintf(line, sizeof(line),
                    "; the mbarrier at shared %#x is in phase %u: %u of %u arrivals and %lld bytes "
                    "to come",
                    address, barrier.phase, barrier.pending, barrier.arrivals,
                    static_cast<long long>(barrier.bytes));
      text += line;
    }
  }
  return text;
}

void NumberedBarriers::sync(int id, int threads) {
  scheduler_.pause();
  if (id < 0 || id > 15 || threads <= 0 || threads % 32 != 0 ||
      static_cast<unsigned>(threads) > scheduler_.threads()) {
    fail("bar.sync %d, %d in a CTA of %u threads", id, threads, scheduler_.threads());
  }
  Barrier& barrier = barriers_[static_cast<std::size_t>(id)];
  if (barrier.waiting.empty()) {
    barrier.expected = threads;
  } else if (barrier.expected != threads) {
    fail("barrier %d: thread %u expects %d threads, thread %u expects %d", id, scheduler_.self(),
         threads, barrier.waiting.front(), barrier.expected);
  }
  if (static_cast<int>(barrier.waiting.size()) + 1 < threads) {
    barrier.waiting.push_back(scheduler_.self());
    scheduler_.suspend(
        {"barrier %u of %u threads", static_cast<unsigned>(id), static_cast<unsigned>(threads)});
    return;
  }
  for (const unsigned thread : barrier.waiting) {
    scheduler_.wake(thread);
  }
  barrier.waiting.clear();
}

}  // namespace ridge::emulated
