// Summaries of samples in constant memory.
#pragma once

#include <cstdint>
#include <vector>

namespace ridge {

// Count, mean, variance and range (Welford).
class Moments {
 public:
  void add(double x);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double variance() const;  // of the sample (n - 1); 0 below two samples
  [[nodiscard]] double standard_deviation() const;
  [[nodiscard]] double min() const { return min_; }
  [[nodiscard]] double max() const { return max_; }

 private:
  std::int64_t count_ = 0;
  double mean_ = 0.0;
  double m2_ = 0.0;
  double min_ = 0.0;
  double max_ = 0.0;
};

// Quantiles of samples of at least 0 from a histogram with 1,024 buckets per octave: within 0.05 %
// of the true sample quantile, never outside the samples' range, and at most 8 KiB per octave
// spanned, however many samples come.
class QuantileSketch {
 public:
  // x must be at least 0 and finite.
  void add(double x, std::uint64_t times = 1);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  // The sample of rank ceil(q * count), q in [0, 1]; 0 without samples.
  [[nodiscard]] double quantile(double q) const;

 private:
  std::uint64_t count_ = 0;
  std::uint64_t zeros_ = 0;  // have no bucket
  double least_ = 0.0;       // of the others
  double largest_ = 0.0;
  std::int64_t first_bucket_ = 0;
  std::vector<std::uint64_t> buckets_;
};

// Of a few samples, linearly between the two nearest ranks (q in [0, 1]); `values` must not be
// empty.
[[nodiscard]] double quantile(std::vector<double> values, double q);

// Where the middle 90 % of samples lie.
struct Interval {
  double low = 0;
  double high = 0;
};
// From the 5th to the 95th percentile of `values`, which must not be empty.
[[nodiscard]] Interval interval_90(std::vector<double> values);

}  // namespace ridge
