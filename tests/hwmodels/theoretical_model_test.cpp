// The roofline's three roofs, by hand.
#include "ridge/hwmodels/kernel_model.hpp"

#include <gtest/gtest.h>

namespace ridge::hw {
namespace {

ChipSpec chip() {
  ChipSpec spec;
  spec.name = "testchip";
  spec.memory_bandwidth.value = BytesPerSecond{2e12};
  spec.scale_up_bandwidth.value = BytesPerSecond{400e9};
  spec.matrix_rate[static_cast<std::size_t>(Precision::bf16)].value = FlopPerSecond{500e12};
  return spec;
}

Timing time_of(const models::Shape& shape) {
  return theoretical_model(chip())->time({.name = "op", .shape = shape});
}

TEST(TheoreticalModel, ACollectiveTakesTheBytesThatARankSendsOverItsLink) {
  // Twice seven eighths of 1.6 GB at 400 GB/s.
  const Timing timing = time_of(models::Collective{
      .kind = models::Collective::Kind::all_reduce, .ranks = 8, .payload = Bytes{1.6e9}});
  EXPECT_DOUBLE_EQ(timing.time.value(), 7e-3);
  EXPECT_EQ(timing.bound, Resource::link);
}

TEST(TheoreticalModel, AMessageTakesItsBytesOverTheLink) {
  const Timing timing = time_of(models::PointToPoint{.payload = Bytes{8e9}});
  EXPECT_DOUBLE_EQ(timing.time.value(), 20e-3);
  EXPECT_EQ(timing.bound, Resource::link);
}

TEST(TheoreticalModel, AnElementwiseOperatorTakesWhatItReadsAndWrites) {
  // 3e9 values of two bytes at 2 TB/s.
  const Timing timing = time_of(models::Elementwise{.values_read = 2e9, .values_written = 1e9});
  EXPECT_DOUBLE_EQ(timing.time.value(), 3e-3);
  EXPECT_EQ(timing.bound, Resource::memory);
}

TEST(TheoreticalModel, AWideProductTakesItsFlop) {
  // 2 x 5000^3 at 500 TFLOP/s; 150 MB would take 75 us.
  const Timing timing = time_of(models::Gemm{.m = 5000, .n = 5000, .k = 5000});
  EXPECT_DOUBLE_EQ(timing.time.value(), 0.5e-3);
  EXPECT_EQ(timing.bound, Resource::compute);
}

TEST(AssumedModel, TakesALaunchAndItsEfficiencyOfTheRoofline) {
  const models::Operator op{
      .name = "op", .shape = models::Elementwise{.values_read = 1e9, .values_written = 1e9}};
  const auto theory = theoretical_model(chip());
  const auto assumed = assumed_model(chip(), {.efficiency = 0.5, .launch = Seconds{3e-6}});
  EXPECT_NEAR(assumed->time(op).time.value(), 3e-6 + 2.0 * theory->time(op).time.value(), 1e-15);
  EXPECT_EQ(assumed->provenance(), "assumed: 0.5 of the roofline, 3 us a launch");
  // Nothing to do takes no launch.
  EXPECT_EQ(assumed->time({.name = "none", .shape = models::Elementwise{}}).time.value(), 0.0);
}

}  // namespace
}  // namespace ridge::hw
