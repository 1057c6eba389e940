// What an option takes. CLI11's own ranges let NaN through, and read -1 as a very large seed.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace ridge::tools {

// A number (whole or not) from `min` to `max`, and never NaN.
[[nodiscard]] CLI::Validator number_between(double min, double max);
[[nodiscard]] CLI::Validator whole_between(double min, double max);
// A seed: a whole number from 0 on.
[[nodiscard]] CLI::Validator seed();
// Anything but nothing: an empty name is a variable that was not set.
[[nodiscard]] CLI::Validator not_empty();

// --fixed, which leaves an input that intervals draw as it is.
void add_fixed_option(CLI::App& command, std::vector<std::string>& fixed);

}  // namespace ridge::tools
