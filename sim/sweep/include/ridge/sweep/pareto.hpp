// Which rows no other row beats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::sweep {

// For each row of `objectives` (groups.size() x width, lower is better): whether no row of its
// group is as good in every objective and better in one. Equal rows stand or fall together. A row
// with a NaN is never on the front and beats nobody. O(n log n) up to three objectives; beyond,
// each row is compared with the front.
[[nodiscard]] std::vector<bool> pareto_front(std::span<const double> objectives, std::size_t width,
                                             std::span<const std::uint32_t> groups);

}  // namespace ridge::sweep
