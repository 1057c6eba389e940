// Robust nonlinear least squares for positive, bounded parameters.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

// Minimizes sum_i rho(r_i) + sum_j (prior_weight * (theta_j - expected_j))^2 over theta = ln(p),
// with the soft L1 loss rho(r) = 2 s^2 (sqrt(1 + (r/s)^2) - 1): quadratic for residuals within
// `scale`, linear beyond, so that a few wild measurements do not bend the curve.
// Levenberg-Marquardt on the reweighted normal equations, forward differences, steps clipped to the
// bounds.
struct LeastSquaresProblem {
  std::size_t residuals = 0;
  std::vector<double> lower;  // of p
  std::vector<double> upper;
  std::vector<double> start;
  std::vector<double> expected;  // before looking, wherever the search starts
  // Residuals at p; the second span is to be filled.
  std::function<void(std::span<const double>, std::span<double>)> evaluate;
};

struct LeastSquaresOptions {
  double scale = 0.05;
  // 0.1 beside a scale of 0.05: a parameter half an e-fold off what is expected costs as much as
  // one residual at the scale.
  double prior_weight = 0.1;
  int iterations = 40;
  double tolerance = 1e-5;  // relative decrease of the cost at which to stop
};

struct LeastSquaresResult {
  std::vector<double> p;
  double cost = 0.0;
  int iterations = 0;
};

[[nodiscard]] LeastSquaresResult minimize(const LeastSquaresProblem& problem,
                                          const LeastSquaresOptions& options = {});

// Covariance of ln(p) at a solution, robust to residuals that hang together within a group (rows of
// one shape err alike): the sandwich estimator H^-1 (sum_g s_g s_g^T) H^-1. Parameters at a bound
// get none. Row-major, p.size() squared.
[[nodiscard]] std::vector<double> covariance(const LeastSquaresProblem& problem,
                                             std::span<const double> p,
                                             std::span<const unsigned> group,
                                             const LeastSquaresOptions& options = {});

}  // namespace ridge::hw::calibrated
