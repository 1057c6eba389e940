// How tokens may choose their experts: one of each kind, and a power law near its limit.
#pragma once

#include "moe/routing.hpp"

#include <vector>

namespace ridge::kernels::moe {

inline const std::vector<Routing> kEveryRouting{{RoutingKind::kBalanced},
                                                {RoutingKind::kUniform},
                                                {RoutingKind::kPowerLaw, 1.01},
                                                {RoutingKind::kPowerLaw, 1.2},
                                                {RoutingKind::kHotExpert}};

}  // namespace ridge::kernels::moe
