// rapidcheck inside a GoogleTest: a property that fails shows its smallest counterexample.
#pragma once

#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace ridge::test {

template <typename Property>
void expect_property(const std::string& claim, Property&& property) {
  EXPECT_TRUE(rc::check(claim, std::forward<Property>(property))) << claim;
}

}  // namespace ridge::test
