#pragma once

#include <cstdint>

// Stand-in for kernels/common/wgmma.cuh: the same functions, carried out by the emulated device.
namespace ridge::kernels {

enum class WgmmaType { kBf16, kF16, kE4m3 };

void wgmma_fence();
void wgmma_commit();
void wgmma_wait_pending(int pending);
template <int Pending>
void wgmma_wait() {
  wgmma_wait_pending(Pending);
}

void wgmma_shared(WgmmaType type, int n, float* d, std::uint64_t a, std::uint64_t b,
                  bool accumulate);
void wgmma_registers(WgmmaType type, int n, float* d, const std::uint32_t* a, std::uint64_t b,
                     bool b_k_major, bool accumulate);

template <WgmmaType Type, int N>
struct Wgmma {
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);

  static void shared(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool accumulate) {
    wgmma_shared(Type, N, d, a, b, accumulate);
  }
  static void registers(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b) {
    static_assert(Type != WgmmaType::kE4m3, "an MN-major B must have two-byte elements");
    wgmma_registers(Type, N, d, a, b, false, true);
  }
  static void registers_k_major(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b,
                                bool accumulate) {
    wgmma_registers(Type, N, d, a, b, true, accumulate);
  }
};

}  // namespace ridge::kernels
