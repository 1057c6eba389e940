#include "moe/family.hpp"

namespace ridge::kernels::moe {

const bench::Family& moe_layer_family() {
  static const bench::Family family = {
      .name = "moe_layer",
      .summary = "FP8 mixture-of-experts FFN: permute, gate_up + SwiGLU, down, combine",
      .instance_fields = {},
      .grid = layer_grid,
      .explain = explain_layer,
      .cases = layer_cases,
      .check = check_layer,
      .prepare = prepare_layer,
      .runs = runs,
  };
  return family;
}

const bench::Family& grouped_gemm_family() {
  static const bench::Family family = {
      .name = "grouped_gemm",
      .summary = "the layer's two FP8 grouped GEMMs, one at a time",
      .instance_fields = {},
      .grid = gemm_grid,
      .explain = explain_gemm,
      .cases = gemm_cases,
      .check = check_gemm,
      .prepare = prepare_gemm,
      .runs = runs,
  };
  return family;
}

}  // namespace ridge::kernels::moe
