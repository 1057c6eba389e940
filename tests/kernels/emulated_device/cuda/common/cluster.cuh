#pragma once

#include <cstdint>

#include <cuda.h>
#include <cuda_runtime.h>

// Stand-in for kernels/common/cluster.cuh, carried out by the emulated device.
namespace ridge::kernels {

std::uint32_t cluster_rank();
void cluster_sync();
void mbarrier_arrive_at(std::uint32_t barrier, std::uint32_t rank);
std::uint32_t address_at(std::uint32_t address, std::uint32_t rank);
void store_async(std::uint32_t destination, float4 values, std::uint32_t barrier);
void mbarrier_wait_in_cluster(std::uint32_t barrier, std::uint32_t parity);

void tensor_load_2d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y,
                              std::uint16_t ranks, std::uint64_t policy);
void tensor_load_3d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y, std::int32_t z,
                              std::uint16_t ranks, std::uint64_t policy);

}  // namespace ridge::kernels
