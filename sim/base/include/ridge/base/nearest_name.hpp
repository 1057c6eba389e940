// "did you mean": the known name closest to a mistyped one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ridge {

// The name in `known` with the smallest edit distance to `name` (insert, delete, replace, swap of
// neighbors; case and punctuation are free), or nothing where none is close. Of equally near names,
// the one that begins most alike.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view name,
                                                      std::span<const std::string> known);

// "; did you mean "x"?" or the empty string.
[[nodiscard]] std::string did_you_mean(std::string_view name, std::span<const std::string> known);

}  // namespace ridge
