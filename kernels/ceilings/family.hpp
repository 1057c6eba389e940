#pragma once

#include "bench/family.hpp"

#include <vector>

/// What the machine can do at best: the marks that the kernels' times are held against.
namespace ridge::kernels::ceilings {

/// Read, write and copy rates against buffer size, from device memory and from the L2.
const bench::Family& memory_bandwidth_family();
std::vector<bench::Point> memory_bandwidth_grid(bench::Extent extent,
                                                const bench::DeviceFacts& device);

/// What launching costs: in a graph, as a programmatic dependent, one by one.
const bench::Family& launch_overhead_family();
std::vector<bench::Point> launch_overhead_grid(bench::Extent extent,
                                               const bench::DeviceFacts& device);

/// Programmatic dependent launches came with Hopper.
bool launch_runs(std::string_view kernel, const bench::Shape& shape,
                 const bench::DeviceFacts& device);

std::string explain(const bench::Point& point, const bench::DeviceFacts& device);
std::vector<bench::Case> cases(bench::Extent extent, const bench::DeviceFacts& device);
bench::CheckReport nothing_to_check(const bench::Case&, const bench::DeviceFacts&);

}  // namespace ridge::kernels::ceilings
