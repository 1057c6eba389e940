#include "ridge/hwmodels/calibrated/least_squares.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <Eigen/Dense>

namespace ridge::hw::calibrated {

namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

constexpr double kStep = 1e-4;  // of ln(p), for differences

// The problem in theta = ln(p), with scratch space.
class LogProblem {
 public:
  LogProblem(const LeastSquaresProblem& problem, const LeastSquaresOptions& options)
      : problem_(problem), options_(options), p_(problem.start.size()) {
    const auto n = static_cast<Eigen::Index>(problem.start.size());
    lower_.resize(n);
    upper_.resize(n);
    start_.resize(n);
    expected_.resize(n);
    RIDGE_INVARIANT(problem.expected.size() == problem.start.size(),
                    "every parameter of a fit is expected somewhere");
    for (Eigen::Index j = 0; j < n; ++j) {
      const auto i = static_cast<std::size_t>(j);
      RIDGE_INVARIANT(problem.lower[i] > 0.0 && problem.lower[i] <= problem.upper[i],
                      "bounds of a fit are positive and ordered");
      lower_[j] = std::log(problem.lower[i]);
      upper_[j] = std::log(problem.upper[i]);
      start_[j] = std::clamp(std::log(problem.start[i]), lower_[j], upper_[j]);
      expected_[j] = std::clamp(std::log(problem.expected[i]), lower_[j], upper_[j]);
    }
  }

  [[nodiscard]] const Vector& start() const { return start_; }
  [[nodiscard]] const Vector& expected() const { return expected_; }
  [[nodiscard]] Vector clipped(const Vector& theta) const {
    return theta.cwiseMax(lower_).cwiseMin(upper_);
  }
  [[nodiscard]] bool at_bound(const Vector& theta, Eigen::Index j) const {
    return theta[j] <= lower_[j] + 1e-9 || theta[j] >= upper_[j] - 1e-9;
  }

  void residuals(const Vector& theta, Vector& r) {
    for (std::size_t j = 0; j < p_.size(); ++j) {
      p_[j] = std::exp(theta[static_cast<Eigen::Index>(j)]);
    }
    r.resize(static_cast<Eigen::Index>(problem_.residuals));
    problem_.evaluate(p_, std::span(r.data(), problem_.residuals));
  }

  // Steps away from the nearer bound, so that a difference never leaves the bounds.
  void jacobian(const Vector& theta, const Vector& r, Matrix& jacobian) {
    jacobian.resize(r.size(), theta.size());
    for (Eigen::Index j = 0; j < theta.size(); ++j) {
      const double step = theta[j] + kStep > upper_[j] ? -kStep : kStep;
      Vector moved = theta;
      moved[j] += step;
      residuals(moved, scratch_);
      jacobian.col(j) = (scratch_ - r) / step;
    }
  }

  [[nodiscard]] double cost(const Vector& theta, const Vector& r) const {
    const double s2 = options_.scale * options_.scale;
    double sum = 0.0;
    for (Eigen::Index i = 0; i < r.size(); ++i) {
      sum += 2.0 * s2 * (std::sqrt(1.0 + r[i] * r[i] / s2) - 1.0);
    }
    return sum + prior() * (theta - expected_).squaredNorm();
  }
  [[nodiscard]] Vector weights(const Vector& r) const {
    const double s2 = options_.scale * options_.scale;
    return (1.0 + r.array().square() / s2).rsqrt().matrix();
  }
  [[nodiscard]] double prior() const { return options_.prior_weight * options_.prior_weight; }

 private:
  const LeastSquaresProblem& problem_;
  const LeastSquaresOptions& options_;
  std::vector<double> p_;
  Vector lower_, upper_, start_, expected_, scratch_;
};

}  // namespace

LeastSquaresResult minimize(const LeastSquaresProblem& problem,
                            const LeastSquaresOptions& options) {
  LogProblem log_problem(problem, options);
  Vector theta = log_problem.start();
  Vector r;
  log_problem.residuals(theta, r);
  double cost = log_problem.cost(theta, r);
  RIDGE_INVARIANT(std::isfinite(cost), "a form gives finite times within its bounds");

  double damping = 1e-2;
  Matrix jacobian;
  Vector trial_r;
  int iteration = 0;
  for (; iteration < options.iterations; ++iteration) {
    log_problem.jacobian(theta, r, jacobian);
    const Vector w = log_problem.weights(r);
    Matrix normal = jacobian.transpose() * w.asDiagonal() * jacobian;
    normal.diagonal().array() += log_problem.prior();
    const Vector gradient = jacobian.transpose() * w.cwiseProduct(r) +
                            log_problem.prior() * (theta - log_problem.expected());

    bool improved = false;
    double gain = 0.0;
    for (int attempt = 0; attempt < 8 && !improved; ++attempt) {
      Matrix damped = normal;
      damped.diagonal() += damping * normal.diagonal();
      Vector step = damped.ldlt().solve(-gradient);
      // A long step in the logarithm is a leap of many octaves; the linearisation is long gone.
      const double longest = step.cwiseAbs().maxCoeff();
      if (longest > 2.0) step *= 2.0 / longest;
      const Vector trial = log_problem.clipped(theta + step);
      log_problem.residuals(trial, trial_r);
      const double trial_cost = log_problem.cost(trial, trial_r);
      if (std::isfinite(trial_cost) && trial_cost < cost) {
        gain = cost - trial_cost;
        theta = trial;
        r.swap(trial_r);
        cost = trial_cost;
        damping = std::max(damping * 0.2, 1e-9);
        improved = true;
      } else {
        damping *= 6.0;
      }
    }
    if (!improved || gain <= options.tolerance * cost) break;
  }

  LeastSquaresResult result;
  result.cost = cost;
  result.iterations = iteration;
  result.p.resize(static_cast<std::size_t>(theta.size()));
  for (Eigen::Index j = 0; j < theta.size(); ++j) {
    result.p[static_cast<std::size_t>(j)] = std::exp(theta[j]);
  }
  return result;
}

std::vector<double> covariance(const LeastSquaresProblem& problem, std::span<const double> p,
                               std::span<const unsigned> group,
                               const LeastSquaresOptions& options) {
  RIDGE_INVARIANT(group.size() == problem.residuals, "every residual has a group");
  LogProblem log_problem(problem, options);
  const auto n = static_cast<Eigen::Index>(p.size());
  Vector theta(n);
  for (Eigen::Index j = 0; j < n; ++j) theta[j] = std::log(p[static_cast<std::size_t>(j)]);
  Vector r;
  Matrix jacobian;
  log_problem.residuals(theta, r);
  log_problem.jacobian(theta, r, jacobian);
  for (Eigen::Index j = 0; j < n; ++j) {
    if (log_problem.at_bound(theta, j)) jacobian.col(j).setZero();
  }
  const Vector w = log_problem.weights(r);
  Matrix hessian = jacobian.transpose() * w.asDiagonal() * jacobian;
  hessian.diagonal().array() += log_problem.prior();

  std::map<unsigned, Vector> score;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    auto [it, fresh] = score.try_emplace(group[static_cast<std::size_t>(i)], Vector::Zero(n));
    it->second += w[i] * r[i] * jacobian.row(i).transpose();
  }
  Matrix meat = Matrix::Zero(n, n);
  for (const auto& [key, s] : score) meat += s * s.transpose();
  const Matrix inverse = hessian.ldlt().solve(Matrix::Identity(n, n));
  const Matrix result = inverse * meat * inverse;

  std::vector<double> out(static_cast<std::size_t>(n * n));
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < n; ++j) {
      out[static_cast<std::size_t>(i * n + j)] = 0.5 * (result(i, j) + result(j, i));
    }
  }
  return out;
}

}  // namespace ridge::hw::calibrated
