#pragma once

#include "common/async_copy.cuh"

#include <cstdint>

#include <cuda.h>

/// Clusters of CTAs, which run at the same time on neighboring SMs and reach each other's shared
/// memory. Thin wrappers, one PTX instruction each (two where an address is mapped). Source: PTX
/// ISA 8.7, "barrier.cluster", "mapa", "mbarrier.arrive", "st.async", "cp.async.bulk.tensor".
namespace ridge::kernels {

/// This CTA's place in its cluster.
__device__ __forceinline__ std::uint32_t cluster_rank() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// All threads of the cluster that have not ended meet, and see what the others stored before, in
/// shared memory too. A CTA must not end while another may still write to its memory.
__device__ __forceinline__ void cluster_sync() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;\n" ::
          : "memory");
}

/// mbarrier_arrive on the barrier at the same address in the shared memory of CTA `rank`. It says
/// that reads have ended, and publishes no stores to the other CTA: that takes `.release.cluster`,
/// for which ptxas fences the memory of the whole GPU, a quarter of a pipelined kernel's time.
__device__ __forceinline__ void mbarrier_arrive_at(std::uint32_t barrier, std::uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(barrier),
      "r"(rank)
      : "memory");
}

/// Where the shared address of this CTA lies in CTA `rank`, for store_async.
__device__ __forceinline__ std::uint32_t address_at(std::uint32_t address, std::uint32_t rank) {
  std::uint32_t there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  return there;
}

/// Stores 16 bytes, aligned, in the shared memory of another CTA, and signals a barrier there with
/// the bytes, once they are there for who waits by mbarrier_wait_in_cluster. Both are addresses of
/// address_at for the same rank.
__device__ __forceinline__ void store_async(std::uint32_t destination, float4 values,
                                            std::uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%2, %3, %4, %5}, "
      "[%1];" ::"r"(destination),
      "r"(barrier), "r"(__float_as_uint(values.x)), "r"(__float_as_uint(values.y)),
      "r"(__float_as_uint(values.z)), "r"(__float_as_uint(values.w))
      : "memory");
}

/// mbarrier_wait for what other CTAs of the cluster stored.
__device__ __forceinline__ void mbarrier_wait_in_cluster(std::uint32_t barrier,
                                                         std::uint32_t parity) {
#ifdef RIDGE_WATCHDOG
  // Orders nothing that other CTAs stored: what follows does.
  mbarrier_wait_or_report(barrier, parity);
#endif
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished;\n"
      "bra again;\n"
      "finished:\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// tensor_load_2d and _3d into every CTA whose bit is set in `ranks`, to the same address in each,
/// and signaling the barrier at the same address in each.
__device__ __forceinline__ void tensor_load_2d_multicast(std::uint32_t destination,
                                                         const CUtensorMap* map,
                                                         std::uint32_t barrier, std::int32_t x,
                                                         std::int32_t y, std::uint16_t ranks,
                                                         std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(destination),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "h"(ranks), "l"(policy)
      : "memory");
}

__device__ __forceinline__ void tensor_load_3d_multicast(
    std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier, std::int32_t x,
    std::int32_t y, std::int32_t z, std::uint16_t ranks, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster.L2::cache_hint [%0], [%1, {%3, %4, %5}], [%2], %6, %7;" ::"r"(
          destination),
      "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(ranks), "l"(policy)
      : "memory");
}

}  // namespace ridge::kernels
