#include "ridge/hwmodels/calibrated/judge.hpp"

#include "ridge/base/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ridge::hw::calibrated {

namespace {

// Those that may answer for measurements of `key`.
std::vector<const Curve*> answering(const Calibration& calibration, const CurveKey& key) {
  for (const Curve& curve : calibration.curves) {
    if (curve.key == key) return {&curve};
  }
  return usable(calibration, key.family, key.format, key.head_dim);
}

template <typename Form>
void judge_shapes(const Machine& machine, const std::vector<typename Form::Shape>& shapes,
                  const std::vector<double>& measured_us, const std::vector<const Curve*>& curves,
                  Judgment& out) {
  constexpr double kNinetyPercent = 1.645;
  std::vector<double> off;
  std::vector<double> signed_off;
  std::vector<double> needed;
  std::int64_t covered = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Curve* best = nullptr;
    double least = 0.0;
    double octaves = 0.0;
    for (const Curve* curve : curves) {
      const double outside = curve->octaves_outside(Form::ranged(shapes[i]));
      const double us =
          curve->estimate(machine, std::get<Fitted<Form>>(curve->fitted), shapes[i], outside).us;
      if (best == nullptr ||
          std::make_pair(outside > 0.0, us) < std::make_pair(octaves > 0.0, least)) {
        best = curve;
        least = us;
        octaves = outside;
      }
    }
    const double ratio = least / measured_us[i];
    signed_off.push_back(ratio - 1.0);
    off.push_back(std::abs(ratio - 1.0));
    const double errors = std::log(ratio) / kNinetyPercent;  // standard ones that just cover it
    covered += std::abs(errors) <= best->standard_error() ? 1 : 0;
    const double own = best->held_out.p90 / kNinetyPercent;
    if (octaves == 0.0) needed.push_back(std::sqrt(std::max(0.0, errors * errors - own * own)));
    out.outside += octaves > 0.0 ? 1 : 0;
    if (!std::exchange(out.answered, true)) out.answered_by = best->key.kernel;
    if (out.answered_by != best->key.kernel) out.answered_by = "several";
  }
  out.worst = *std::max_element(off.begin(), off.end());
  out.p50 = quantile(off, 0.5);
  out.p90 = quantile(std::move(off), 0.9);
  out.bias = quantile(std::move(signed_off), 0.5);
  if (!needed.empty()) out.needed_error = quantile(std::move(needed), 0.9);
  out.coverage_90 = static_cast<double>(covered) / static_cast<double>(shapes.size());
}

}  // namespace

std::vector<Judgment> judge(const MeasurementSet& set, const Calibration& calibration) {
  std::vector<Judgment> result;
  for (const auto& [key, series] : set.series) {
    Judgment& judgment = result.emplace_back();
    judgment.key = key;
    judgment.measurements = static_cast<std::int64_t>(series.size());
    const std::vector<const Curve*> curves = answering(calibration, key);
    if (curves.empty()) continue;
    std::visit(
        [&](const auto& shapes) {
          using Form = typename std::decay_t<decltype(shapes)>::value_type::Form;
          judge_shapes<Form>(calibration.machine, shapes, series.us, curves, judgment);
        },
        series.shapes);
  }
  return result;
}

}  // namespace ridge::hw::calibrated
