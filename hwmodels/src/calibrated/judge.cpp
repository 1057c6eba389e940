#include "ridge/hwmodels/calibrated/judge.hpp"

#include "ridge/base/statistics.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include <algorithm>
#include <cmath>
#include <map>
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

// Whose kernel runs is known, and that another answers.
bool is_another(const CurveKey& measured, const Curve& answering) {
  return !measured.kernel.empty() && !answering.key.kernel.empty() &&
         measured.kernel != answering.key.kernel;
}

struct Answer {
  const Curve* curve = nullptr;
  double us = 0;
  double octaves_outside = 0;

  // The standard error whose 90 % interval would just cover what was measured.
  [[nodiscard]] double just_covering(double measured_us) const {
    return std::abs(std::log(us / measured_us)) / kNinetyPercent;
  }
  // What the curve's own error needs beside it to just cover it.
  [[nodiscard]] double needed(double measured_us) const {
    const double covering = just_covering(measured_us);
    const double own = curve->fitted_error();
    return std::sqrt(std::max(0.0, covering * covering - own * own));
  }
};

template <typename Form>
Answer answer(const Machine& machine, const std::vector<const Curve*>& curves,
              const typename Form::Shape& shape) {
  Answer best;
  for (const Curve* curve : curves) {
    const double outside = curve->octaves_outside(Form::ranged(shape));
    const double us =
        curve->estimate(machine, std::get<Fitted<Form>>(curve->fitted), shape, outside).us;
    if (best.curve == nullptr ||
        std::make_pair(outside > 0.0, us) < std::make_pair(best.octaves_outside > 0.0, best.us)) {
      best = {.curve = curve, .us = us, .octaves_outside = outside};
    }
  }
  return best;
}

template <typename Form>
void judge_shapes(const Machine& machine, const std::vector<typename Form::Shape>& shapes,
                  const std::vector<double>& measured_us, const std::vector<const Curve*>& curves,
                  Judgment& out) {
  const double of_another = transfer_errors().of_another_kernel(out.key.family, out.key.format);
  std::vector<double> off;
  std::vector<double> signed_off;
  std::vector<double> needed;
  std::int64_t covered = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Answer best = answer<Form>(machine, curves, shapes[i]);
    const double ratio = best.us / measured_us[i];
    signed_off.push_back(ratio - 1.0);
    off.push_back(std::abs(ratio - 1.0));
    const double error = std::hypot(best.curve->standard_error(),
                                    is_another(out.key, *best.curve) ? of_another : 0.0);
    covered += best.just_covering(measured_us[i]) <= error ? 1 : 0;
    if (best.octaves_outside == 0.0) needed.push_back(best.needed(measured_us[i]));
    out.outside += best.octaves_outside > 0.0 ? 1 : 0;
    if (!std::exchange(out.answered, true)) out.answered_by = best.curve->key.kernel;
    if (out.answered_by != best.curve->key.kernel) out.answered_by = "several";
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

std::vector<NeededError> needed_errors(const MeasurementSet& set, const Calibration& calibration,
                                       bool by_another_kernel) {
  std::map<std::pair<Family, Format>, std::vector<double>> needed;
  for (const auto& [key, series] : set.series) {
    // Of other kernels, those that would answer if there were no curve of the measured one.
    Calibration asked = calibration;
    std::erase_if(asked.curves, [&, &own = key](const Curve& curve) {
      return by_another_kernel ? !is_another(own, curve) : curve.key != own;
    });
    const std::vector<const Curve*> curves = usable(asked, key.family, key.format, key.head_dim);
    if (curves.empty()) continue;
    std::visit(
        [&](const auto& shapes) {
          using Form = typename std::decay_t<decltype(shapes)>::value_type::Form;
          for (std::size_t i = 0; i < shapes.size(); ++i) {
            const Answer best = answer<Form>(calibration.machine, curves, shapes[i]);
            if (best.octaves_outside > 0.0) continue;
            const Format format = by_another_kernel ? key.format : Format::any;
            needed[{key.family, format}].push_back(best.needed(series.us[i]));
          }
        },
        series.shapes);
  }
  std::vector<NeededError> result;
  for (auto& [of, errors] : needed) {
    const auto count = static_cast<std::int64_t>(errors.size());
    result.push_back({of.first, of.second, quantile(std::move(errors), 0.9), count});
  }
  return result;
}

}  // namespace ridge::hw::calibrated
