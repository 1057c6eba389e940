#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;

/// The part of cuBLASLt that is used, found at run time: a machine may have the library and no
/// header of it, or neither, or one older than a mode it is asked for. Types and numbers are those
/// of its C interface, unchanged from CUDA 12.0 to 13.0 (cublaslt_gemm.host.cu holds them against
/// the header where there is one).
namespace ridge::kernels::gemm {

enum LtStatus : int { kLtSuccess = 0 };
enum LtComputeType : int { kLtCompute32F = 68 };
enum LtDataType : int { kLtFloat = 0, kLtBf16 = 14, kLtE4m3 = 28 };
enum LtOperation : int { kLtAsIs = 0, kLtTransposed = 1 };
enum LtDescriptorAttribute : int {
  kLtTransposeA = 3,
  kLtTransposeB = 4,
  kLtScalePointerA = 17,
  kLtScalePointerB = 18,
  kLtScaleModeA = 31,
  kLtScaleModeB = 32
};
/// Scales of blocks came with CUDA 12.9.
enum LtScaleMode : int { kLtScalePer1x128 = 4, kLtScalePer128x128 = 5 };
enum LtPreferenceAttribute : int { kLtMostWorkspaceBytes = 1 };

using LtHandle = void*;
using LtDescriptor = void*;
using LtLayout = void*;
using LtPreference = void*;

struct LtAlgorithm {
  std::uint64_t data[8];
};

struct LtHeuristicResult {
  LtAlgorithm algorithm;
  std::size_t workspace_bytes;
  LtStatus state;
  float waves;
  int reserved[4];
};

struct CublasLtApi {
  std::size_t (*version)();
  const char* (*status_string)(LtStatus);
  LtStatus (*create)(LtHandle*);
  LtStatus (*descriptor_create)(LtDescriptor*, LtComputeType, LtDataType scale_type);
  LtStatus (*descriptor_destroy)(LtDescriptor);
  LtStatus (*descriptor_set)(LtDescriptor, LtDescriptorAttribute, const void*, std::size_t);
  LtStatus (*layout_create)(LtLayout*, LtDataType, std::uint64_t rows, std::uint64_t columns,
                            std::int64_t leading);
  LtStatus (*layout_destroy)(LtLayout);
  LtStatus (*preference_create)(LtPreference*);
  LtStatus (*preference_destroy)(LtPreference);
  LtStatus (*preference_set)(LtPreference, LtPreferenceAttribute, const void*, std::size_t);
  LtStatus (*heuristic)(LtHandle, LtDescriptor, LtLayout a, LtLayout b, LtLayout c, LtLayout d,
                        LtPreference, int wanted, LtHeuristicResult*, int* found);
  LtStatus (*matmul)(LtHandle, LtDescriptor, const void* alpha, const void* a, LtLayout,
                     const void* b, LtLayout, const void* beta, const void* c, LtLayout, void* d,
                     LtLayout, const LtAlgorithm*, void* workspace, std::size_t, CUstream_st*);
};

/// The library: the file that RIDGE_CUBLASLT names, else the system's, version 13 or 12. Throws
/// std::runtime_error, saying where it was looked for.
const CublasLtApi& cublaslt();

/// Its version, or "none".
std::string cublaslt_version();

}  // namespace ridge::kernels::gemm
