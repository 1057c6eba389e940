#include "moe/family.hpp"

namespace ridge::kernels::moe {

const bench::Family& moe_layer_family() {
  static const bench::Family family = {
      .name = "moe_layer",
      .summary = "FP8 mixture-of-experts FFN: permute, gate_up + SwiGLU, down, combine",
      .grid = layer_grid,
      .explain = explain_layer,
      .cases = layer_cases,
      .check = check_layer,
      .prepare = prepare_layer,
  };
  return family;
}

const bench::Family& grouped_gemm_family() {
  static const bench::Family family = {
      .name = "grouped_gemm",
      .summary = "the layer's two FP8 grouped GEMMs, one at a time",
      .grid = gemm_grid,
      .explain = explain_gemm,
      .cases = gemm_cases,
      .check = check_gemm,
      .prepare = prepare_gemm,
  };
  return family;
}

}  // namespace ridge::kernels::moe
