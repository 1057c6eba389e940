#include "arguments.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

namespace ridge::tools {
namespace {

template <typename T>
bool parsed(const std::string& text, T& out) {
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, out);
  return failure == std::errc() && stop == end;
}

}  // namespace

CLI::Validator number_between(double min, double max) {
  return {[min, max](std::string& text) {
            double value = 0.0;
            if (parsed(text, value) && value >= min && value <= max) return std::string();
            return fmt::format("expected a number from {} to {}, got \"{}\"", min, max, text);
          },
          fmt::format("[{} - {}]", min, max)};
}

CLI::Validator whole_between(double min, double max) {
  return {[min, max](std::string& text) {
            std::int64_t value = 0;
            const bool well = parsed(text, value) && static_cast<double>(value) >= min &&
                              static_cast<double>(value) <= max;
            if (well) return std::string();
            return fmt::format("expected a whole number from {} to {}, got \"{}\"", min, max, text);
          },
          fmt::format("[{} - {}]", min, max)};
}

CLI::Validator seed() {
  return {[](std::string& text) {
            std::uint64_t value = 0;
            if (parsed(text, value)) return std::string();
            return fmt::format("expected a whole number from 0 on, got \"{}\"", text);
          },
          ""};
}

CLI::Validator not_empty() {
  return {[](std::string& text) {
            return text.empty() ? std::string("expected a name, got an empty one") : std::string();
          },
          ""};
}

void add_fixed_option(CLI::App& command, std::vector<std::string>& fixed) {
  command
      .add_option("--fixed", fixed,
                  "An input that intervals draw, by its name in the answer, to be left as it is; "
                  "again for others, or \"inputs\" for all of them")
      ->type_name("INPUT")
      ->allow_extra_args(false);
}

}  // namespace ridge::tools
