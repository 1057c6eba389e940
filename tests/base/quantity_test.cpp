// What does not compile is in tests/compile_fail.
#include "ridge/base/quantity.hpp"

#include <type_traits>

#include <gtest/gtest.h>

namespace ridge {
namespace {

TEST(Quantity, DimensionsFollowTheArithmetic) {
  static_assert(std::is_same_v<decltype(Bytes{} / Seconds{}), BytesPerSecond>);
  static_assert(std::is_same_v<decltype(Flop{} / Bytes{}), FlopPerByte>);
  static_assert(std::is_same_v<decltype(Bytes{} / BytesPerSecond{}), Seconds>);
  static_assert(std::is_same_v<decltype(UsdPerSecond{} / FlopPerSecond{}), UsdPerFlop>);
  static_assert(std::is_same_v<decltype(1.0 / Seconds{}), Quantity<-1, 0, 0, 0, 0, 0>>);
  static_assert(std::is_same_v<decltype(Watts{} * Seconds{}), Joules>);
  EXPECT_EQ((Bytes{6.0} / Seconds{2.0}).value(), 3.0);
}

TEST(Quantity, WhenAllDimensionsCancelAPlainNumberIsLeft) {
  static_assert(std::is_same_v<decltype(Seconds{} / Seconds{}), double>);
  static_assert(std::is_same_v<decltype(BytesPerSecond{} * Seconds{} / Bytes{}), double>);
  EXPECT_EQ(Seconds{6.0} / Seconds{2.0}, 3.0);
}

TEST(Quantity, IsAsLargeAndAsTrivialAsADouble) {
  static_assert(sizeof(Seconds) == sizeof(double));
  static_assert(std::is_trivially_copyable_v<Seconds>);
  static_assert(!std::is_convertible_v<double, Seconds>);
  static_assert(!std::is_convertible_v<Seconds, double>);
}

TEST(Quantity, ComparesAndAccumulates) {
  Seconds total{1.0};
  total += Seconds{0.5};
  total *= 2.0;
  EXPECT_EQ(total, Seconds{3.0});
  EXPECT_LT(-total, Seconds{});
  EXPECT_EQ((total - Seconds{1.0}) / 4.0, Seconds{0.5});
}

}  // namespace
}  // namespace ridge
