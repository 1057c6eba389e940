// One fitted curve: a form, its parameters, and everything needed to know how far to trust it.
#pragma once

#include "ridge/base/random.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/hwmodels/calibrated/forms.hpp"
#include "ridge/hwmodels/calibrated/residual.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ridge::hw::calibrated {

// Standard errors that nine of ten normal draws lie within.
inline constexpr double kNinetyPercent = 1.645;

// Between which values of a quantity of the shape there were measurements.
struct Range {
  std::string name;  // "context", "m", ...
  double min = 0;
  double max = 0;
};

// Of the held-out error, what measurements of `from` rows to `to` have.
struct RowsError {
  double from = 0;
  double to = 0;
  double p50 = 0;
  double p90 = 0;
  std::int64_t measurements = 0;
};

// Error of predictions of shapes that the fit had not seen, |predicted / measured - 1|.
struct HeldOutError {
  double p50 = 0;
  double p90 = 0;
  double worst = 0;
  double in_sample_p50 = 0;
  std::int64_t measurements = 0;
  std::int64_t groups = 0;
  std::int64_t folds = 0;
  bool by_shape = true;  // false: too few shapes, so a shape's batch sizes were left out in turn
  // Standard deviation of the logarithm of the common factor of a resample: such that 90 % of
  // held-out measurements lie between the 5th and the 95th percentile of the draws.
  double draw_sigma = 0;
  // The share that does, each fold judged by the draw_sigma of the others.
  double coverage_90 = 0;
  // The share of measurements whose kernels a trial chose poorly: they count in the errors, and the
  // curve is of the others.
  double poorly_chosen = 0;
  std::vector<RowsError> by_rows;  // of products, by m, rising
};

struct Outlier {
  std::string where;  // "gemm.csv:123"
  double measured_us = 0;
  double predicted_us = 0;
};

struct Provenance {
  std::string file;
  std::int64_t rows = 0;
};

// Where a curve was not fitted on its chip.
struct Borrowed {
  std::string from;        // a chip, or words
  double added_error = 0;  // relative, on top of the held-out error
};

struct Curve {
  CurveKey key;
  FittedForm fitted;
  Residual residual;  // none where it did not help on shapes left out
  // Lower Cholesky factor of the covariance of ln(parameters), row-major; empty if unknown.
  std::vector<double> spread;
  std::vector<Range> ranges;
  HeldOutError held_out;
  std::vector<Outlier> outliers;  // the worst; there are `outlier_count`
  std::int64_t outlier_count = 0;
  std::vector<Provenance> sources;
  std::optional<Borrowed> borrowed;
  // Of the calibration that a newer one was based on: used where the newer has none for its slot.
  bool standby = false;
  // What the curve's times are multiplied by: 1, but in a resample, where it stands for the part of
  // the held-out error that hits all shapes of a deployment alike.
  double factor = 1.0;
  // A standard normal draw, 0 but in a resample: how far, in standard errors, the curve is off
  // where it answers for what it was not fitted on.
  double stray = 0.0;

  // Relative standard error of one prediction of the curve's own chip within the range: such that
  // 90 % of held-out predictions lie within kNinetyPercent of it, as in a normal distribution.
  [[nodiscard]] double fitted_error() const { return held_out.p90 / kNinetyPercent; }
  // The same with what a transfer added.
  [[nodiscard]] double standard_error() const;

  // Whether `values`, in the order of `ranges`, lie within them.
  [[nodiscard]] bool holds(std::span<const double> values) const {
    bool outside = false;
    const std::size_t count = std::min(values.size(), ranges.size());
    for (std::size_t i = 0; i < count; ++i) {
      outside = outside || values[i] > ranges[i].max || values[i] < ranges[i].min;
    }
    return !outside;
  }
  // Doublings by which they leave them, summed; 0 inside.
  [[nodiscard]] double octaves_outside(std::span<const double> values) const {
    return holds(values) ? 0.0 : octaves(values.first(std::min(values.size(), ranges.size())));
  }

  // Whether anything was learned that holds so many doublings outside the ranges: it fades out over
  // the first, beyond which the physical form answers alone.
  [[nodiscard]] bool learned(double outside) const { return !residual.empty() && outside < 1.0; }
  // What the form's time is multiplied by, where something was learned.
  [[nodiscard]] double learned_factor(std::span<const double> features, double outside) const {
    return outside == 0.0 ? residual.factor(features)
                          : std::exp((1.0 - outside) * residual(features));
  }
  // The form's time with what was learned of the measurements that it missed.
  template <typename Form>
  [[nodiscard]] Estimate estimate(const Machine& machine, const Fitted<Form>& f,
                                  const typename Form::Shape& shape, double outside) const {
    const auto plan = plan_of(machine, f, shape);
    Estimate result = time_of(machine, f, shape, plan);
    if (learned(outside)) {
      result.us *= learned_factor(features_of(machine, f, shape, plan, result.us), outside);
    }
    return result;
  }

 private:
  [[nodiscard]] double octaves(std::span<const double> values) const;
};

// A curve as it might have come out of another set of measurements of the same kind: parameters
// drawn from their covariance within the machine's bounds, and a common factor from the held-out
// error.
[[nodiscard]] Curve resampled(const Curve& curve, const Machine& machine, Random& random);

}  // namespace ridge::hw::calibrated
