// Words of tables.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::evidence {

// In small letters, cut wherever no letter or digit stands.
[[nodiscard]] std::vector<std::string> words_of(std::string_view text);

// How many of the words are those of `name`, from word `at` on: all of them, or none.
[[nodiscard]] std::size_t length_at(const std::vector<std::string>& words, std::size_t at,
                                    std::string_view name);
[[nodiscard]] bool mentions(const std::vector<std::string>& words, std::string_view name);

// Which of these lists of names a text has a name of, by index and each once: of the names that
// begin at one word the longest counts, of equally long ones that of the first list.
[[nodiscard]] std::vector<std::size_t> mentioned(
    const std::vector<const std::vector<std::string>*>& lists, std::string_view text);

// "80"
[[nodiscard]] bool is_number(std::string_view word);

}  // namespace ridge::evidence
