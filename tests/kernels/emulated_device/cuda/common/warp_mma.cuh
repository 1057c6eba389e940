#pragma once

#include <cstdint>

// Stand-in for kernels/common/warp_mma.cuh, carried out by the emulated device.
namespace ridge::kernels {

enum class MmaType { kBf16, kF16 };

void load_matrices(std::uint32_t (&out)[4], const void* row);
void load_matrices_transposed(std::uint32_t (&out)[4], const void* row);
void warp_mma(MmaType type, float* d, const std::uint32_t (&a)[4], std::uint32_t b0,
              std::uint32_t b1);

template <MmaType Type>
void warp_mma(float* d, const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  warp_mma(Type, d, a, b0, b1);
}

}  // namespace ridge::kernels
