#pragma once

#include <cstdint>

/// The matrix instructions of one warp, from Ampere on, and the loads that bring operands from
/// shared memory into their layout. Source: PTX ISA 8.7, "mma", "ldmatrix".
namespace ridge::kernels {

enum class MmaType { kBf16, kF16 };

/// Four 8 x 8 matrices of 16-bit elements. Lane 8 i + r gives the address of row r of matrix i;
/// lane l receives elements 2 (l % 4) and the next of row l / 4 of each.
__device__ __forceinline__ void load_matrices(std::uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// The same, each matrix transposed.
__device__ __forceinline__ void load_matrices_transposed(std::uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// d += a b, of 16 x 16 and 16 x 8. Lane l holds of d: row l / 4 (d[0], d[1]) and 8 below (d[2],
/// d[3]), columns 2 (l % 4) and the next; of a: the same rows and columns in a[0], a[1], and 8
/// columns on in a[2], a[3]; of b: rows 2 (l % 4) and the next of column l / 4 in b0, and 8 rows on
/// in b1.
template <MmaType Type>
__device__ __forceinline__ void warp_mma(float* d, const std::uint32_t (&a)[4], std::uint32_t b0,
                                         std::uint32_t b1) {
  if constexpr (Type == MmaType::kBf16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

}  // namespace ridge::kernels
