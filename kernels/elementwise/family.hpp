#pragma once

#include "bench/family.hpp"

#include <string>
#include <vector>

/// The small memory-bound kernels of a decode step, as families of their own: their shapes differ.
namespace ridge::kernels::elementwise {

const bench::Family& rms_norm_quantize_family();
const bench::Family& rope_family();
const bench::Family& router_top_k_family();

std::vector<bench::Point> rms_norm_quantize_grid(bench::Extent extent,
                                                 const bench::DeviceFacts& device);
std::vector<bench::Point> rope_grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Point> router_top_k_grid(bench::Extent extent, const bench::DeviceFacts& device);

std::vector<bench::Case> rms_norm_quantize_cases(bench::Extent extent,
                                                 const bench::DeviceFacts& device);
std::vector<bench::Case> rope_cases(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> router_top_k_cases(bench::Extent extent, const bench::DeviceFacts& device);

std::string rms_norm_quantize_explain(const bench::Point& point, const bench::DeviceFacts& device);
std::string rope_explain(const bench::Point& point, const bench::DeviceFacts& device);
std::string router_top_k_explain(const bench::Point& point, const bench::DeviceFacts& device);

}  // namespace ridge::kernels::elementwise
