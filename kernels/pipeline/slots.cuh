#pragma once

#include "common/async_copy.cuh"
#include "pipeline/ring.hpp"

#include <cstdint>

namespace ridge::kernels::pipeline {

/// One arrival of the calling warp, after all its lanes have come this far.
__device__ __forceinline__ void arrive_as_warp(std::uint32_t barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) {
    mbarrier_arrive(barrier);
  }
}

/// The barriers of a ring's slots, in shared memory side by side: 8 bytes each, all the full ones
/// of `full`, all the empty ones of `empty`. A slot may become full in `kParts` parts, each with a
/// barrier of its own, so that readers begin with the first, and empty in `kFreedParts`, so that
/// copies do.
template <int kParts = 1, int kFreedParts = 1>
struct Slots {
  std::uint32_t full;   ///< Address of slot 0's, part 0's
  std::uint32_t empty;  ///< The same

  __device__ std::uint32_t full_barrier(std::uint32_t slot, std::uint32_t part = 0) const {
    return full + (slot * kParts + part) * 8;
  }
  __device__ std::uint32_t empty_barrier(std::uint32_t slot, std::uint32_t part = 0) const {
    return empty + (slot * kFreedParts + part) * 8;
  }

  /// By one thread, before the others use them: `writers` arrivals make a part full, `readers` make
  /// one empty. Follow it with mbarrier_init_fence() and __syncthreads().
  __device__ void init(int slots, std::uint32_t writers, std::uint32_t readers) const {
    for (int slot = 0; slot < slots; ++slot) {
      init_parts(slot, writers);
      for (int part = 0; part < kFreedParts; ++part) {
        mbarrier_init(empty_barrier(slot, part), readers);
      }
    }
  }
  /// The full ones alone, where other Slots of the same ring have the empty ones.
  __device__ void init_full(int slots, std::uint32_t writers) const {
    for (int slot = 0; slot < slots; ++slot) {
      init_parts(slot, writers);
    }
  }
  __device__ void init_parts(int slot, std::uint32_t writers) const {
    for (int part = 0; part < kParts; ++part) {
      mbarrier_init(full_barrier(slot, part), writers);
    }
  }

  // ---- the producer

  __device__ void wait_empty(const RingPosition& at, std::uint32_t part = 0) const {
    mbarrier_wait(empty_barrier(at.slot, part), at.empty_parity);
  }
  /// Says how many bytes of copies will land in a part, and returns the barrier that they signal.
  __device__ std::uint32_t expect(const RingPosition& at, std::uint32_t bytes,
                                  std::uint32_t part = 0) const {
    const std::uint32_t barrier = full_barrier(at.slot, part);
    mbarrier_arrive_expect(barrier, bytes);
    return barrier;
  }

  // ---- the consumers

  __device__ void wait_full(const RingPosition& at, std::uint32_t part = 0) const {
    mbarrier_wait(full_barrier(at.slot, part), at.full_parity);
  }
  /// This warp is done reading the slot, or a part of it.
  __device__ void release(const RingPosition& at, std::uint32_t part = 0) const {
    arrive_as_warp(empty_barrier(at.slot, part));
  }
};

}  // namespace ridge::kernels::pipeline
