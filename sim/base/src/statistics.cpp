#include "ridge/base/statistics.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace ridge {

void Moments::add(double x) {
  min_ = count_ == 0 ? x : std::min(min_, x);
  max_ = count_ == 0 ? x : std::max(max_, x);
  ++count_;
  const double delta = x - mean_;
  mean_ += delta / static_cast<double>(count_);
  m2_ += delta * (x - mean_);
}

double Moments::variance() const {
  return count_ < 2 ? 0.0 : m2_ / static_cast<double>(count_ - 1);
}

double Moments::standard_deviation() const {
  return std::sqrt(variance());
}

namespace {

constexpr std::int64_t kBucketsPerOctave = 1024;

std::int64_t bucket_of(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);  // in [0.5, 1)
  const auto fraction =
      static_cast<std::int64_t>((mantissa - 0.5) * 2.0 * static_cast<double>(kBucketsPerOctave));
  return exponent * kBucketsPerOctave + fraction;
}

double middle_of(std::int64_t bucket) {
  const std::int64_t exponent =
      (bucket >= 0 ? bucket : bucket - kBucketsPerOctave + 1) / kBucketsPerOctave;
  const auto fraction = static_cast<double>(bucket - exponent * kBucketsPerOctave);
  const double mantissa = 0.5 + (fraction + 0.5) / (2.0 * static_cast<double>(kBucketsPerOctave));
  return std::ldexp(mantissa, static_cast<int>(exponent));
}

}  // namespace

void QuantileSketch::add(double x, std::uint64_t times) {
  RIDGE_INVARIANT(x >= 0.0 && std::isfinite(x),
                  "a quantile sketch takes finite samples of at least 0");
  if (times == 0) return;
  if (x == 0.0) {
    zeros_ += times;
    count_ += times;
    return;
  }
  const bool first = buckets_.empty();
  least_ = first ? x : std::min(least_, x);
  largest_ = first ? x : std::max(largest_, x);
  const std::int64_t bucket = bucket_of(x);
  if (first) first_bucket_ = bucket;
  if (bucket < first_bucket_) {
    buckets_.insert(buckets_.begin(), static_cast<std::size_t>(first_bucket_ - bucket), 0);
    first_bucket_ = bucket;
  }
  const auto index = static_cast<std::size_t>(bucket - first_bucket_);
  if (index >= buckets_.size()) buckets_.resize(index + 1);
  buckets_[index] += times;
  count_ += times;
}

double QuantileSketch::quantile(double q) const {
  if (count_ == 0) return 0.0;
  const auto rank = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_))), 1, count_);
  if (rank <= zeros_) return 0.0;
  std::uint64_t seen = zeros_;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) {
      return std::clamp(middle_of(first_bucket_ + static_cast<std::int64_t>(i)), least_, largest_);
    }
  }
  throw InvariantError("a quantile sketch lost samples");
}

namespace {

double quantile_of_sorted(const std::vector<double>& values, double q) {
  RIDGE_INVARIANT(!values.empty(), "a quantile is of samples");
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return quantile_of_sorted(values, q);
}

Interval interval_90(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {.low = quantile_of_sorted(values, 0.05), .high = quantile_of_sorted(values, 0.95)};
}

}  // namespace ridge
