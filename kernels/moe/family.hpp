#pragma once

#include "bench/family.hpp"

#include <memory>
#include <string>
#include <vector>

/// The two entries of ridge-bench: the whole layer, and its grouped GEMMs alone.
namespace ridge::kernels::moe {

const bench::Family& moe_layer_family();
const bench::Family& grouped_gemm_family();

// The families' host halves, which need no GPU (family.cpp).
std::vector<bench::Point> layer_grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Point> gemm_grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> layer_cases(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> gemm_cases(bench::Extent extent, const bench::DeviceFacts& device);
/// On Hopper alone: every kernel of the layer is built on its matrix unit and copy engine, and the
/// simple GEMMs run between the layer's other kernels.
bool runs(std::string_view kernel, const bench::Shape& shape, const bench::DeviceFacts& device);
std::string explain_layer(const bench::Point& point, const bench::DeviceFacts& device);
std::string explain_gemm(const bench::Point& point, const bench::DeviceFacts& device);

// Their device halves (check.sm90a.cu, workload.sm90a.cu).
bench::CheckReport check_layer(const bench::Case& test, const bench::DeviceFacts& device);
bench::CheckReport check_gemm(const bench::Case& test, const bench::DeviceFacts& device);
std::unique_ptr<bench::Workload> prepare_layer(const bench::Point& point,
                                               const bench::DeviceFacts& device);
std::unique_ptr<bench::Workload> prepare_gemm(const bench::Point& point,
                                              const bench::DeviceFacts& device);

}  // namespace ridge::kernels::moe
