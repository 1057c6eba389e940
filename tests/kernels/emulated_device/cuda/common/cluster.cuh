#pragma once

#include <cstdint>

#include <cuda.h>

// Stand-in for kernels/common/cluster.cuh, carried out by the emulated device.
namespace ridge::kernels {

std::uint32_t cluster_rank();
void cluster_sync();
void mbarrier_arrive_at(std::uint32_t barrier, std::uint32_t rank);

void tensor_load_2d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y,
                              std::uint16_t ranks, std::uint64_t policy);
void tensor_load_3d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y, std::int32_t z,
                              std::uint16_t ranks, std::uint64_t policy);

}  // namespace ridge::kernels
