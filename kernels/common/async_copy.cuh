#pragma once

#include <cstdint>
#include <cstdio>

#include <cuda.h>

/// Hopper's transaction barriers, bulk copies, and the fences between ordinary ("generic") accesses
/// and those of the copy engine and matrix unit ("async proxy"). Thin wrappers, one PTX instruction
/// each. Source: PTX ISA 8.7, "mbarrier", "cp.async.bulk", "griddepcontrol", "setmaxnreg".
namespace ridge::kernels {

/// The address of `pointer` within the CTA's shared window, as PTX wants it.
__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- mbarrier
// ------------------------------------------------------------------------------------

__device__ __forceinline__ void mbarrier_init(std::uint32_t barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Makes initialized barriers visible to the copy engine; follow it with __syncthreads().
__device__ __forceinline__ void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(std::uint32_t barrier) {
  asm volatile(
      "{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}\n" ::"r"(barrier)
      : "memory");
}

/// One arrival, after which the phase also waits for `bytes` bytes of bulk copies.
__device__ __forceinline__ void mbarrier_arrive_expect(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile(
      "{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}\n" ::"r"(
          barrier),
      "r"(bytes)
      : "memory");
}

#ifdef RIDGE_WATCHDOG
/// No wait in a kernel that works takes a thousandth of this.
inline constexpr std::uint64_t kWatchdogNs = 2'000'000'000;

static __device__ __noinline__ void report_lost_arrival(std::uint32_t barrier,
                                                        std::uint32_t parity) {
  printf(
      "watchdog: block (%u, %u, %u), warp %u, lane %u has waited 2 s at the barrier at shared "
      "address 0x%x for parity %u\n",
      blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x / 32, threadIdx.x % 32, barrier, parity);
  __trap();
}

static __device__ __noinline__ void mbarrier_wait_or_report(std::uint32_t barrier,
                                                            std::uint32_t parity) {
  std::uint64_t start;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
  for (;;) {
    std::uint32_t done;
    asm volatile(
        "{\n.reg .pred done;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n}\n"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    std::uint64_t now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    if (done != 0) {
      return;
    }
    if (now - start > kWatchdogNs) {
      report_lost_arrival(barrier, parity);
    }
  }
}
#endif

/// Waits for the completion of the phase of the given parity. A fresh barrier is in phase 0, and
/// waiting on parity 1 then returns at once.
__device__ __forceinline__ void mbarrier_wait(std::uint32_t barrier, std::uint32_t parity) {
#ifdef RIDGE_WATCHDOG
  mbarrier_wait_or_report(barrier, parity);
#else
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished;\n"
      "bra again;\n"
      "finished:\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
#endif
}

// ---- bulk copies
// ---------------------------------------------------------------------------------

/// L2 policies, in the encoding of `createpolicy.fractional`.
inline constexpr std::uint64_t kEvictFirst = 0x12f0000000000000ull;  ///< Streamed once.
inline constexpr std::uint64_t kEvictNormal = 0x1000000000000000ull;

/// Copies `bytes` (a multiple of 16) contiguous bytes from global to shared memory; both 16-byte
/// aligned. Signals `barrier` with the bytes.
__device__ __forceinline__ void bulk_load(std::uint32_t destination, const void* source,
                                          std::uint32_t bytes, std::uint32_t barrier,
                                          std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(destination),
      "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void tensor_load_2d(std::uint32_t destination, const CUtensorMap* map,
                                               std::uint32_t barrier, std::int32_t x,
                                               std::int32_t y, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(destination),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void tensor_load_3d(std::uint32_t destination, const CUtensorMap* map,
                                               std::uint32_t barrier, std::int32_t x,
                                               std::int32_t y, std::int32_t z,
                                               std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(destination),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void prefetch_tensor_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// ---- fences, named barriers, register budgets, dependent launches
// ----------------------------------

/// Makes this thread's ordinary shared-memory writes visible to wgmma and bulk copies; needed in
/// every writing thread, before the barrier that publishes them.
__device__ __forceinline__ void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Makes other threads' ordinary global-memory writes, which this thread may already see, visible
/// to the bulk copies that it issues afterwards.
__device__ __forceinline__ void fence_async_proxy_global() {
  asm volatile("fence.proxy.async.global;" ::: "memory");
}

/// Barrier `id` (1..15) among `threads` threads. Barrier 0 is __syncthreads().
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// A warpgroup gives up, or takes, registers. Both need a kernel with __launch_bounds__(threads,
/// 1).
template <int Registers>
__device__ __forceinline__ void register_budget_decrease() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

template <int Registers>
__device__ __forceinline__ void register_budget_increase() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

/// Lets the next kernel of the stream start, if it was launched as a programmatic dependent.
__device__ __forceinline__ void allow_dependent_launch() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/// Waits until the kernels this one depends on have finished and their writes are visible.
__device__ __forceinline__ void wait_for_prerequisites() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

}  // namespace ridge::kernels
