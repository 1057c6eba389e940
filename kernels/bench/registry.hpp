#pragma once

#include "bench/family.hpp"

#include <vector>

namespace ridge::kernels::bench {

/// Every family, in the order in which they are checked and measured.
const std::vector<Family>& families();

}  // namespace ridge::kernels::bench
