// What Ridge's pictures share.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view::svg {

// Text as it may stand between tags.
[[nodiscard]] std::string escaped(std::string_view text);

// Told apart by people who see few colors, too (after Okabe and Ito).
inline constexpr std::array<const char*, 7> kColors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                       "#56b4e9", "#e69f00", "#000000"};

// The opening of a document of this size, on white.
[[nodiscard]] std::string opening(double width, double height);

// Documents that begin so, as one: two to a row, each in a cell of this size.
[[nodiscard]] std::string grid(const std::vector<std::string>& documents, double width,
                               double height);

}  // namespace ridge::view::svg
