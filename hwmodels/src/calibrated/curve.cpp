#include "ridge/hwmodels/calibrated/curve.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace ridge::hw::calibrated {

double Curve::standard_error() const {
  constexpr double kNinetyPercent = 1.645;
  const double fitted_error = held_out.p90 / kNinetyPercent;
  const double added = borrowed ? borrowed->added_error : 0.0;
  return std::sqrt(fitted_error * fitted_error + added * added);
}

double Curve::octaves_outside(std::span<const double> values) const {
  double octaves = 0.0;
  const std::size_t count = std::min(values.size(), ranges.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] > ranges[i].max) {
      octaves += std::log2(values[i] / ranges[i].max);
    } else if (values[i] < ranges[i].min) {
      octaves += std::log2(ranges[i].min / std::max(values[i], 1e-9));
    }
  }
  return octaves;
}

std::span<const ParameterInfo> parameters_of(const FittedForm& fitted) {
  return std::visit([](const auto& f) { return std::decay_t<decltype(f)>::FormType::parameters(); },
                    fitted);
}

std::span<double> values_of(FittedForm& fitted) {
  return std::visit([](auto& f) { return std::span<double>(f.p); }, fitted);
}

std::span<const double> values_of(const FittedForm& fitted) {
  return std::visit([](const auto& f) { return std::span<const double>(f.p); }, fitted);
}

Curve resampled(const Curve& curve, Random& random) {
  Curve drawn = curve;
  const std::span<double> p = values_of(drawn.fitted);
  const std::span<const ParameterInfo> info = parameters_of(drawn.fitted);
  std::array<double, 32> z{};
  for (std::size_t j = 0; j < p.size(); ++j) z[j] = random.normal();
  if (curve.spread.size() == p.size() * p.size()) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      double shift = 0.0;
      for (std::size_t j = 0; j <= i; ++j) shift += curve.spread[i * p.size() + j] * z[j];
      p[i] = std::clamp(p[i] * std::exp(shift), info[i].lower, info[i].upper);
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

std::size_t range_values(const DecodeAttentionForm::Shape& s, std::span<double> out) {
  out[0] = s.sequences;
  out[1] = s.context;
  out[2] = s.query_rows;
  out[3] = s.kv_heads;
  return 4;
}

std::size_t range_values(const GemmForm::Shape& s, std::span<double> out) {
  out[0] = s.m;
  out[1] = s.n;
  out[2] = s.k;
  out[3] = s.batch;
  return 4;
}

std::size_t range_values(const GroupedGemmForm::Shape& s, std::span<double> out) {
  const bool layer = s.n2 > 0.0;
  out[0] = s.rows;
  out[1] = s.experts;
  out[2] = layer ? std::min({s.n, s.k, s.n2, s.k2}) : std::min(s.n, s.k);
  out[3] = layer ? std::max({s.n, s.k, s.n2, s.k2}) : std::max(s.n, s.k);
  return 4;
}

std::size_t range_values(const CollectiveForm::Shape& s, std::span<double> out) {
  out[0] = s.ranks;
  out[1] = s.wire_MB;
  return 2;
}

std::size_t range_values(const ExpertExchangeForm::Shape& s, std::span<double> out) {
  out[0] = s.servers;
  out[1] = s.tokens;
  out[2] = s.top_k;
  out[3] = s.experts;
  out[4] = s.bytes_per_token;
  return 5;
}

std::size_t range_values(const ElementwiseForm::Shape& s, std::span<double> out) {
  out[0] = s.MB;
  return 1;
}

std::span<const std::string_view> range_names(const FittedForm& fitted) {
  static constexpr std::array<std::string_view, 4> kAttention = {"sequences", "context",
                                                                 "query_rows", "kv_heads"};
  static constexpr std::array<std::string_view, 4> kGemm = {"m", "n", "k", "batch"};
  static constexpr std::array<std::string_view, 4> kGrouped = {"rows", "experts", "narrowest",
                                                               "widest"};
  static constexpr std::array<std::string_view, 2> kCollective = {"ranks", "wire_MB"};
  static constexpr std::array<std::string_view, 5> kExchange = {"servers", "tokens", "top_k",
                                                                "experts", "bytes_per_token"};
  static constexpr std::array<std::string_view, 1> kElementwise = {"MB"};
  static constexpr std::array<std::span<const std::string_view>, 6> kNames = {
      kAttention, kGemm, kGrouped, kCollective, kExchange, kElementwise};
  return kNames[fitted.index()];
}

}  // namespace ridge::hw::calibrated
