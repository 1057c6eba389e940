#pragma once

#include <cstdint>

/// Copies from global to shared memory that threads issue 16 bytes at a time, as Ampere and every
/// later chip has them. Source: PTX ISA 8.7, "cp.async". A thread waits for its own copies alone:
/// others see them after a barrier behind its wait.
namespace ridge::kernels {

__device__ __forceinline__ void cp_async_16(void* destination, const void* source) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(destination))),
               "l"(source)
               : "memory");
}

/// What this thread issued since the last call becomes a group.
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most `Pending` of this thread's newest groups are under way.
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

}  // namespace ridge::kernels
