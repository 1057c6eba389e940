#pragma once

#include <cstdint>

/// Hopper's warpgroup matrix multiply-accumulate, D += A B, in the forms that the kernels use.
/// Source: PTX ISA 8.7, "wgmma.mma_async". All 128 threads of a warpgroup call these together.
///
/// D is 64 x N in registers, spread as `wgmma_accumulator_index` says. Operands in shared memory
/// are named by descriptors (common/shared_layout.hpp). The order of use is
///   wgmma_fence(); wgmma...; wgmma_commit(); wgmma_wait<pending>();
/// and between the first wgmma and the wait that covers it no other code may touch D, or ptxas
/// serializes the whole pipeline (advisory C7510 and its neighbors, which fail the build).
namespace ridge::kernels {

/// Orders earlier register writes (accumulators, A fragments) before the next wgmma.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits until at most `Pending` committed groups are in flight.
template <int Pending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

/// Element types of the operands; the accumulator is always float.
enum class WgmmaType { kBf16, kF16, kE4m3 };

/// wgmma m64nNk16 (two-byte operands) or m64nNk32 (E4M3). Specialised below for the N in use.
///   shared(d, a, b, accumulate): A and B in shared memory, both K-major.
///   registers(d, a, b):          A in registers, B in shared memory, MN-major, D += A B. Two-byte
///   only.
///   registers_k_major(d, a, b, accumulate): the same with B K-major.
/// `accumulate` false ignores what D held.
template <WgmmaType Type, int N>
struct Wgmma;

// The operand lists of inline assembly must be spelled out; these macros do it once per count.
// clang-format off
#define RIDGE_WGMMA_D_4 \
  "{%0, %1, %2, %3}"
#define RIDGE_WGMMA_OPERANDS_4 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define RIDGE_WGMMA_D_8 \
  "{%0, %1, %2, %3, %4, %5, %6, %7}"
#define RIDGE_WGMMA_OPERANDS_8 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7])
#define RIDGE_WGMMA_D_16 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}"
#define RIDGE_WGMMA_OPERANDS_16 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), \
  "+f"(d[14]), "+f"(d[15])
#define RIDGE_WGMMA_D_32 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define RIDGE_WGMMA_OPERANDS_32 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), \
  "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), \
  "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
  "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define RIDGE_WGMMA_D_64 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, " \
  "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"
#define RIDGE_WGMMA_OPERANDS_64 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), \
  "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), \
  "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
  "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), \
  "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), \
  "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), \
  "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
  "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), \
  "+f"(d[63])
#define RIDGE_WGMMA_D_96 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, " \
  "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, " \
  "%70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, " \
  "%87, %88, %89, %90, %91, %92, %93, %94, %95}"
#define RIDGE_WGMMA_OPERANDS_96 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), \
  "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), \
  "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
  "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), \
  "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), \
  "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), \
  "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
  "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), \
  "+f"(d[63]), "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), \
  "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), \
  "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), \
  "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), \
  "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define RIDGE_WGMMA_D_128 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, " \
  "%19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, " \
  "%36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, " \
  "%53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, %67, %68, %69, " \
  "%70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, " \
  "%87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, " \
  "%103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, " \
  "%117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}"
#define RIDGE_WGMMA_OPERANDS_128 \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), \
  "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), \
  "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), \
  "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), \
  "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), \
  "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), \
  "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), \
  "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
  "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), \
  "+f"(d[63]), "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), \
  "+f"(d[70]), "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), \
  "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), \
  "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), \
  "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), \
  "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), \
  "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), \
  "+f"(d[110]), "+f"(d[111]), "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), \
  "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]), "+f"(d[121]), \
  "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])
// clang-format on

// COUNT accumulator registers per thread (N / 2); I0.. are COUNT, COUNT + 1, ... as operand
// numbers.
#define RIDGE_WGMMA_SHARED(COUNT, SHAPE_AND_TYPES, TAIL, I0, I1, I2)                       \
  static __device__ __forceinline__ void shared(float(&d)[COUNT], std::uint64_t a,         \
                                                std::uint64_t b, bool accumulate) {        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #I2                                  \
                 ", 0;\n"                                                                  \
                 "wgmma.mma_async.sync.aligned." SHAPE_AND_TYPES " " RIDGE_WGMMA_D_##COUNT \
                 ", %" #I0 ", %" #I1 ", p, 1, 1" TAIL ";\n}\n"                             \
                 : RIDGE_WGMMA_OPERANDS_##COUNT                                            \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));                     \
  }

#define RIDGE_WGMMA_REGISTERS(COUNT, SHAPE_AND_TYPES, I0, I1, I2, I3, I4)                        \
  static __device__ __forceinline__ void registers(float(&d)[COUNT], const std::uint32_t(&a)[4], \
                                                   std::uint64_t b) {                            \
    asm volatile("wgmma.mma_async.sync.aligned." SHAPE_AND_TYPES " " RIDGE_WGMMA_D_##COUNT       \
                 ", {%" #I0 ", %" #I1 ", %" #I2 ", %" #I3 "}, %" #I4 ", 1, 1, 1, 1;\n"           \
                 : RIDGE_WGMMA_OPERANDS_##COUNT                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                          \
  }

#define RIDGE_WGMMA_REGISTERS_K_MAJOR(COUNT, SHAPE_AND_TYPES, I0, I1, I2, I3, I4, I5)      \
  static __device__ __forceinline__ void registers_k_major(                                \
      float(&d)[COUNT], const std::uint32_t(&a)[4], std::uint64_t b, bool accumulate) {    \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #I5                                  \
                 ", 0;\n"                                                                  \
                 "wgmma.mma_async.sync.aligned." SHAPE_AND_TYPES " " RIDGE_WGMMA_D_##COUNT \
                 ", {%" #I0 ", %" #I1 ", %" #I2 ", %" #I3 "}, %" #I4 ", p, 1, 1, 0;\n}\n"  \
                 : RIDGE_WGMMA_OPERANDS_##COUNT                                            \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b),                     \
                   "r"(static_cast<int>(accumulate)));                                     \
  }

#define RIDGE_WGMMA_TWO_BYTE(TYPE, PTX, N, COUNT, I0, I1, I2, I3, I4, I5)                          \
  template <>                                                                                      \
  struct Wgmma<WgmmaType::TYPE, N> {                                                               \
    RIDGE_WGMMA_SHARED(COUNT, "m64n" #N "k16.f32." PTX "." PTX, ", 0, 0", I0, I1, I2)              \
    RIDGE_WGMMA_REGISTERS(COUNT, "m64n" #N "k16.f32." PTX "." PTX, I0, I1, I2, I3, I4)             \
    RIDGE_WGMMA_REGISTERS_K_MAJOR(COUNT, "m64n" #N "k16.f32." PTX "." PTX, I0, I1, I2, I3, I4, I5) \
  };

#define RIDGE_WGMMA_E4M3(N, COUNT, I0, I1, I2)                               \
  template <>                                                                \
  struct Wgmma<WgmmaType::kE4m3, N> {                                        \
    RIDGE_WGMMA_SHARED(COUNT, "m64n" #N "k32.f32.e4m3.e4m3", "", I0, I1, I2) \
  };

RIDGE_WGMMA_TWO_BYTE(kBf16, "bf16", 64, 32, 32, 33, 34, 35, 36, 37)
RIDGE_WGMMA_TWO_BYTE(kBf16, "bf16", 128, 64, 64, 65, 66, 67, 68, 69)
RIDGE_WGMMA_TWO_BYTE(kBf16, "bf16", 256, 128, 128, 129, 130, 131, 132, 133)
RIDGE_WGMMA_TWO_BYTE(kF16, "f16", 16, 8, 8, 9, 10, 11, 12, 13)
RIDGE_WGMMA_TWO_BYTE(kF16, "f16", 32, 16, 16, 17, 18, 19, 20, 21)
RIDGE_WGMMA_TWO_BYTE(kF16, "f16", 64, 32, 32, 33, 34, 35, 36, 37)
RIDGE_WGMMA_TWO_BYTE(kF16, "f16", 128, 64, 64, 65, 66, 67, 68, 69)
RIDGE_WGMMA_TWO_BYTE(kF16, "f16", 256, 128, 128, 129, 130, 131, 132, 133)
RIDGE_WGMMA_E4M3(8, 4, 4, 5, 6)
RIDGE_WGMMA_E4M3(16, 8, 8, 9, 10)
RIDGE_WGMMA_E4M3(32, 16, 16, 17, 18)
RIDGE_WGMMA_E4M3(64, 32, 32, 33, 34)
RIDGE_WGMMA_E4M3(128, 64, 64, 65, 66)
RIDGE_WGMMA_E4M3(192, 96, 96, 97, 98)

#undef RIDGE_WGMMA_SHARED
#undef RIDGE_WGMMA_REGISTERS
#undef RIDGE_WGMMA_REGISTERS_K_MAJOR
#undef RIDGE_WGMMA_TWO_BYTE
#undef RIDGE_WGMMA_E4M3

}  // namespace ridge::kernels
