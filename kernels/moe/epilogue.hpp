#pragma once

#include "moe/shape.hpp"

#include <cstdint>

namespace ridge::kernels::moe {

/// What becomes of the sums of a grouped GEMM.
enum class Epilogue : std::uint8_t {
  kFloat,   ///< Stored as float.
  kBf16,    ///< Rounded to BF16.
  kSwiglu,  ///< Weights are interleaved gate/up; stores silu(gate) * up as E4M3 with 1 x 128
            ///< scales.
};

/// Bytes that one row of output takes, scales included, for N weight rows.
constexpr double output_row_bytes(int weight_rows, Epilogue epilogue) {
  const double n = weight_rows;
  switch (epilogue) {
    case Epilogue::kFloat:
      return 4.0 * n;
    case Epilogue::kBf16:
      return 2.0 * n;
    case Epilogue::kSwiglu:
      return n / 2 * (1.0 + 4.0 / kScaleBlock);
  }
  return 0.0;
}

}  // namespace ridge::kernels::moe
