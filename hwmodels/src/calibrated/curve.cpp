#include "ridge/hwmodels/calibrated/curve.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace ridge::hw::calibrated {

double Curve::standard_error() const {
  const double own = fitted_error();
  const double added = borrowed ? borrowed->added_error : 0.0;
  return std::sqrt(own * own + added * added);
}

double Curve::octaves(std::span<const double> values) const {
  double octaves = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] > ranges[i].max) {
      octaves += std::log2(values[i] / ranges[i].max);
    } else if (values[i] < ranges[i].min) {
      octaves += std::log2(ranges[i].min / std::max(values[i], 1e-9));
    }
  }
  return octaves;
}

Curve resampled(const Curve& curve, const Machine& machine, Random& random) {
  Curve drawn = curve;
  const std::span<double> p = values_of(drawn.fitted);
  const std::span<const ParameterInfo> info = parameters_of(drawn.fitted);
  std::array<double, 32> z{};
  for (std::size_t j = 0; j < p.size(); ++j) z[j] = random.normal();
  if (curve.spread.size() == p.size() * p.size()) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      double shift = 0.0;
      for (std::size_t j = 0; j <= i; ++j) shift += curve.spread[i * p.size() + j] * z[j];
      const Bounds bounds = bounds_of(info[i], machine, curve.key.format);
      p[i] = std::clamp(p[i] * std::exp(shift), std::min(bounds.lower, p[i]),
                        std::max(bounds.upper, p[i]));
    }
  }
  // The held-out error of a shape is mostly the same at all its batch sizes, and a deployment asks
  // for one shape again and again: it does not average out.
  const double added = curve.borrowed ? curve.borrowed->added_error : 0.0;
  const double common = curve.held_out.draw_sigma;
  drawn.factor *= random.lognormal(std::sqrt(common * common + added * added));
  drawn.stray = random.normal();
  return drawn;
}

}  // namespace ridge::hw::calibrated
