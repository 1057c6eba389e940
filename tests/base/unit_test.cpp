#include "ridge/base/unit.hpp"

#include <gtest/gtest.h>

namespace ridge {
namespace {

TEST(UnitOfKey, IsTheSuffixAfterAnUnderscore) {
  EXPECT_EQ(unit_of_key("latency_us")->scale, 1e-6);
  EXPECT_EQ(unit_of_key("cache_KiB")->scale, 1024.0);
  EXPECT_EQ(unit_of_key("memory_GB")->scale, 1e9);
  EXPECT_EQ(unit_of_key("rate_TFLOPps")->scale, 1e12);
  EXPECT_DOUBLE_EQ(unit_of_key("rate_USD_per_hour")->scale, 1.0 / 3600.0);
}

TEST(UnitOfKey, GigabitsAreNotGigabytes) {
  EXPECT_EQ(unit_of_key("nic_GBps")->scale, 8.0 * unit_of_key("nic_Gbps")->scale);
}

TEST(UnitOfKey, WordsThatEndAlikeAreNoUnits) {
  EXPECT_FALSE(unit_of_key("heads"));
  EXPECT_FALSE(unit_of_key("status"));
  EXPECT_FALSE(unit_of_key("us"));
  EXPECT_FALSE(unit_of_key("_us"));
  EXPECT_FALSE(unit_of_key(""));
}

TEST(StemOfKey, IsTheKeyWithoutItsUnit) {
  EXPECT_EQ(stem_of_key("memory_bandwidth_TBps"), "memory_bandwidth");
  EXPECT_EQ(stem_of_key("heads"), "heads");
}

}  // namespace
}  // namespace ridge
