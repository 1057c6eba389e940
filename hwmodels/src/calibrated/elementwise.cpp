#include "ridge/hwmodels/calibrated/elementwise.hpp"

namespace ridge::hw::calibrated {

std::span<const ParameterInfo> ElementwiseForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch, first loads, last store", 0.3, 2.5, 60.0, Role::launch},
      {"memory_TBps", "bandwidth of a mixed stream of reads and writes", 0.2, 2.7, 100.0,
       Role::memory_rate},
  }};
  return kInfo;
}

Facts<ElementwiseForm::Choice> ElementwiseForm::facts(const CurveKey& /*key*/) {
  return {.choices = {{}}};
}

Estimate ElementwiseForm::time(const Machine& /*machine*/, const Choice& /*choice*/,
                               const Parameters& p, const Shape& s) {
  const double stream = s.MB / p[memory_TBps];
  return {.us = p[launch_us] + stream,
          .bound = stream > p[launch_us] ? Resource::memory : Resource::launch};
}

}  // namespace ridge::hw::calibrated
