// Quantities with their dimensions in the type: adding bytes to seconds, or passing a raw
// double where a rate belongs, does not compile (tests/compile_fail proves it).
#pragma once

#include <compare>
#include <type_traits>

namespace ridge {

// A value in base units: second, byte, flop, USD, joule, token. The template arguments are the
// exponents, so Quantity<-1, 1, 0, 0, 0, 0> is bytes per second.
template <int S, int B, int F, int U, int J, int T>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double base_units) : value_(base_units) {}

  [[nodiscard]] constexpr double value() const { return value_; }

  constexpr Quantity operator-() const { return Quantity{-value_}; }
  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value_ -= other.value_;
    return *this;
  }
  constexpr Quantity& operator*=(double factor) {
    value_ *= factor;
    return *this;
  }
  constexpr Quantity& operator/=(double divisor) {
    value_ /= divisor;
    return *this;
  }
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr Quantity operator*(Quantity a, double b) { return a *= b; }
  friend constexpr Quantity operator*(double a, Quantity b) { return b *= a; }
  friend constexpr Quantity operator/(Quantity a, double b) { return a /= b; }
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

 private:
  double value_ = 0.0;
};

namespace detail {
// A quantity whose exponents all cancel is a plain number.
template <int S, int B, int F, int U, int J, int T>
using Reduced = std::conditional_t<S == 0 && B == 0 && F == 0 && U == 0 && J == 0 && T == 0, double,
                                   Quantity<S, B, F, U, J, T>>;
}  // namespace detail

template <int S1, int B1, int F1, int U1, int J1, int T1, int S2, int B2, int F2, int U2, int J2,
          int T2>
constexpr auto operator*(Quantity<S1, B1, F1, U1, J1, T1> a, Quantity<S2, B2, F2, U2, J2, T2> b) {
  return detail::Reduced<S1 + S2, B1 + B2, F1 + F2, U1 + U2, J1 + J2, T1 + T2>{a.value() *
                                                                               b.value()};
}
template <int S1, int B1, int F1, int U1, int J1, int T1, int S2, int B2, int F2, int U2, int J2,
          int T2>
constexpr auto operator/(Quantity<S1, B1, F1, U1, J1, T1> a, Quantity<S2, B2, F2, U2, J2, T2> b) {
  return detail::Reduced<S1 - S2, B1 - B2, F1 - F2, U1 - U2, J1 - J2, T1 - T2>{a.value() /
                                                                               b.value()};
}
template <int S, int B, int F, int U, int J, int T>
constexpr auto operator/(double a, Quantity<S, B, F, U, J, T> b) {
  return Quantity<-S, -B, -F, -U, -J, -T>{a / b.value()};
}

//                     s  B  F  $  J  token
using Seconds = Quantity<1, 0, 0, 0, 0, 0>;
using Bytes = Quantity<0, 1, 0, 0, 0, 0>;
using Flop = Quantity<0, 0, 1, 0, 0, 0>;  // a multiply-add counts as 2
using Usd = Quantity<0, 0, 0, 1, 0, 0>;
using Joules = Quantity<0, 0, 0, 0, 1, 0>;
using Tokens = Quantity<0, 0, 0, 0, 0, 1>;
using BytesPerSecond = Quantity<-1, 1, 0, 0, 0, 0>;
using FlopPerSecond = Quantity<-1, 0, 1, 0, 0, 0>;
using FlopPerByte = Quantity<0, -1, 1, 0, 0, 0>;
using UsdPerSecond = Quantity<-1, 0, 0, 1, 0, 0>;
using UsdPerFlop = Quantity<0, 0, -1, 1, 0, 0>;
using UsdPerByte = Quantity<0, -1, 0, 1, 0, 0>;
using UsdPerToken = Quantity<0, 0, 0, 1, 0, -1>;
using Watts = Quantity<-1, 0, 0, 0, 1, 0>;
using TokensPerSecond = Quantity<-1, 0, 0, 0, 0, 1>;

}  // namespace ridge
