#pragma once

#include <cstdint>

#include <cuda_runtime.h>

// Stand-in for kernels/common/async_copy.cuh: the same functions, carried out by the emulated
// device instead of by one PTX instruction each.
namespace ridge::kernels {

std::uint32_t shared_address(const void* pointer);

void mbarrier_init(std::uint32_t barrier, std::uint32_t arrivals);
void mbarrier_init_fence();
void mbarrier_arrive(std::uint32_t barrier);
void mbarrier_arrive_expect(std::uint32_t barrier, std::uint32_t bytes);
void mbarrier_wait(std::uint32_t barrier, std::uint32_t parity);

inline constexpr std::uint64_t kEvictFirst = 0x12f0000000000000ull;
inline constexpr std::uint64_t kEvictNormal = 0x1000000000000000ull;

void bulk_load(std::uint32_t destination, const void* source, std::uint32_t bytes,
               std::uint32_t barrier, std::uint64_t policy);
void tensor_load_2d(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                    std::int32_t x, std::int32_t y, std::uint64_t policy);
void tensor_load_3d(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                    std::int32_t x, std::int32_t y, std::int32_t z, std::uint64_t policy);
void prefetch_tensor_map(const CUtensorMap* map);

void fence_async_proxy();
void fence_async_proxy_global();
void named_barrier(int id, int threads);

void set_register_budget(unsigned registers, bool increase);
template <int Registers>
void register_budget_decrease() {
  set_register_budget(Registers, false);
}
template <int Registers>
void register_budget_increase() {
  set_register_budget(Registers, true);
}

void allow_dependent_launch();
void wait_for_prerequisites();

}  // namespace ridge::kernels
