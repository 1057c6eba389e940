#include "thread_block.hpp"

#include "cluster.hpp"
#include "error.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <cuda_runtime.h>

// The CUDA built-ins of the running thread.
uint3 threadIdx{};
uint3 blockIdx{};
dim3 blockDim;
dim3 gridDim;

// Where `__shared__` variables lie, see cuda_runtime.h. The linker defines the two ends, if there
// are any.
extern "C" {
extern std::uint8_t __start_ridge_emulated_shared[] __attribute__((weak));
extern std::uint8_t __stop_ridge_emulated_shared[] __attribute__((weak));
}

namespace ridge::emulated {
namespace {

constexpr unsigned kRegistersPerMultiprocessor = 65536;
constexpr unsigned kMostThreads = 1024;

ThreadBlock* running = nullptr;

/// The most registers per thread with which the block can be launched, as a kernel compiled with
/// __launch_bounds__(threads, 1) has them at first.
unsigned launch_registers(unsigned threads) {
  return std::min(kRegistersPerMultiprocessor / threads / 8 * 8, 248u);
}

}  // namespace

ThreadBlock::ThreadBlock(const Launch& launch, uint3 index, Cluster& cluster, unsigned rank,
                         const std::vector<SavedBytes>& written_before, Chance& chance,
                         Fidelity fidelity)
    : launch_(launch),
      index_(index),
      cluster_(cluster),
      rank_(rank),
      written_before_(written_before),
      scheduler_(launch.block.x * launch.block.y * launch.block.z, chance, Temper::draw(chance),
                 cluster),
      shared_(launch.shared_bytes, fidelity.proxies),
      transaction_barriers_(scheduler_, shared_),
      numbered_barriers_(scheduler_),
      copies_(scheduler_, shared_, transaction_barriers_),
      thread_copies_(shared_, scheduler_.threads()),
      fp8_sums_(fidelity.fp8_sums),
      prerequisites_done_(!launch.dependent) {
  const unsigned threads = scheduler_.threads();
  if (threads == 0 || threads > kMostThreads) {
    fail("%u threads in a block; 1 .. %u expected", threads, kMostThreads);
  }
  const unsigned warps = (threads + 31) / 32;
  matrix_units_.resize(warps);
  warps_.reserve(warps);
  for (unsigned warp = 0; warp < warps; ++warp) {
    warps_.emplace_back(scheduler_, warp);
  }
  indices_.reserve(threads);
  for (unsigned z = 0; z < launch.block.z; ++z) {
    for (unsigned y = 0; y < launch.block.y; ++y) {
      for (unsigned x = 0; x < launch.block.x; ++x) {
        indices_.push_back({x, y, z});
      }
    }
  }
  warp_registers_.assign(warps, launch_registers(threads));
  warp_registers_set_.assign(warps, 0);
  registers_set_.assign(threads, 0);
  waited_.assign(threads, false);
  fenced_global_.assign(threads, false);
  if (__start_ridge_emulated_shared != nullptr) {
    std::memset(
        __start_ridge_emulated_shared, SharedMemory::kPoison,
        static_cast<std::size_t>(__stop_ridge_emulated_shared - __start_ridge_emulated_shared));
  }
  scheduler_.on_enter([this](unsigned thread) {
    if (running != this) {
      running = this;
      ::blockIdx = index_;
      ::blockDim = launch_.block;
      ::gridDim = launch_.grid;
    }
    ::threadIdx = indices_[thread];
  });
  if (fidelity.proxies) {
    scheduler_.on_leave([this](unsigned thread) { shared_.attribute_writes(thread); });
  }
  scheduler_.start(launch_.kernel);
}

ThreadBlock::~ThreadBlock() {
  running = nullptr;
}

ThreadBlock& ThreadBlock::current() {
  if (running == nullptr) {
    fail("a device function outside a kernel");
  }
  return *running;
}

void ThreadBlock::meet_prerequisites() {
  prerequisites_done_ = true;
  for (const unsigned thread : std::exchange(waiting_for_prerequisites_, {})) {
    scheduler_.wake(thread);
  }
}

std::string ThreadBlock::name() const {
  return "CTA (" + std::to_string(index_.x) + ", " + std::to_string(index_.y) + ", " +
         std::to_string(index_.z) + ")";
}

std::string ThreadBlock::waiting() const {
  return scheduler_.waiting() + transaction_barriers_.waited_for();
}

void ThreadBlock::require_clean_end() const {
  const auto fingerprint = [this](std::size_t warp) {
    return matrix_units_[warp] == nullptr ? 0 : matrix_units_[warp]->fingerprint();
  };
  if (copies_.has_work()) {
    fail("a CTA ended while bulk copies or stores into its shared memory were under way");
  }
  transaction_barriers_.require_clean_end();
  if (cluster_.size() > 1 &&
      std::any_of(__start_ridge_emulated_shared, __stop_ridge_emulated_shared,
                  [](std::uint8_t byte) { return byte != SharedMemory::kPoison; })) {
    fail(
        "__shared__ variables of a kernel in clusters, which have to use dynamic shared memory "
        "here");
  }
  if (thread_copies_.under_way()) {
    fail("a CTA ended with cp.async copies that no wait covered");
  }
  for (std::size_t warp = 0; warp < matrix_units_.size(); ++warp) {
    if (matrix_units_[warp] != nullptr && !matrix_units_[warp]->drained()) {
      fail("warp %zu ended with matrix instructions that no wgmma.wait_group covered", warp);
    }
    if (fingerprint(warp) != fingerprint(warp / 4 * 4)) {
      fail("warps %zu and %zu of a warpgroup issued different matrix instructions", warp / 4 * 4,
           warp);
    }
  }
}

MatrixUnit& ThreadBlock::matrix_unit() {
  const unsigned warp = thread() / 32;
  if ((warp / 4 + 1) * 128 > scheduler_.threads()) {
    fail("wgmma in warp %u, which belongs to no complete warpgroup", warp);
  }
  std::unique_ptr<MatrixUnit>& unit = matrix_units_[warp];
  if (unit == nullptr) {
    unit = std::make_unique<MatrixUnit>(scheduler_, shared_, warp, fp8_sums_);
  }
  return *unit;
}

void ThreadBlock::sync_threads() {
  numbered_barriers_.sync(0, static_cast<int>(scheduler_.threads()));
}

void ThreadBlock::fence_async_proxy() {
  shared_.attribute_writes(thread());
  shared_.publish_writes(thread());
}

void ThreadBlock::set_registers(unsigned per_thread, bool increase) {
  scheduler_.pause();
  const unsigned warp = thread() / 32;
  unsigned& mine = warp_registers_[warp];
  if (per_thread % 8 != 0 || per_thread < 24 || per_thread > 256) {
    fail("setmaxnreg %u: a multiple of 8 in 24 .. 256 expected", per_thread);
  }
  if (++registers_set_[thread()] <= warp_registers_set_[warp]) {
    return;  // Another lane of the warp has done it for all.
  }
  if (increase ? per_thread < mine : per_thread > mine) {
    fail("setmaxnreg.%s from %u to %u registers", increase ? "inc" : "dec", mine, per_thread);
  }
  ++warp_registers_set_[warp];
  if (!increase) {
    free_registers_ += 32 * (mine - per_thread);
    mine = per_thread;
    for (const unsigned thread : std::exchange(waiting_for_registers_, {})) {
      scheduler_.wake(thread);
    }
    return;
  }
  const unsigned needed = 32 * (per_thread - mine);
  while (free_registers_ < needed) {
    waiting_for_registers_.push_back(thread());
    scheduler_.suspend(
        {"setmaxnreg.inc to %u registers, with %u free", per_thread, free_registers_});
  }
  free_registers_ -= needed;
  mine = per_thread;
}

void ThreadBlock::allow_dependents() {
  scheduler_.pause();
  allowed_dependents_early_ |= launch_.dependent && !waited_[thread()];
}

void ThreadBlock::wait_for_prerequisites() {
  while (!prerequisites_done_) {
    waiting_for_prerequisites_.push_back(thread());
    scheduler_.suspend({"the kernels before this one"});
  }
  waited_[thread()] = true;
}

void ThreadBlock::fence_async_proxy_global() {
  // A fence before the wait orders nothing that the wait makes visible.
  fenced_global_[thread()] = waited_[thread()] || !launch_.dependent;
}

void ThreadBlock::require_visible_to_copies(const void* from, std::uint64_t bytes) const {
  const auto* const first = static_cast<const std::uint8_t*>(from);
  if (!launch_.dependent || fenced_global_[thread()]) {
    return;
  }
  for (const SavedBytes& piece : written_before_) {
    if (piece.at < first + bytes && first < piece.at + piece.bytes.size()) {
      fail(
          "a bulk copy of what an earlier kernel stored, issued by thread %u of a dependent launch "
          "without a fence.proxy.async.global after its griddepcontrol.wait",
          thread());
    }
  }
}

}  // namespace ridge::emulated
