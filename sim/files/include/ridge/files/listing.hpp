// What is known by name of one kind, as ridge list tells it.
#pragma once

#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::files {

// One entry each, all with the same keys.
struct Listing {
  std::string kind;
  std::vector<std::string> keys;
  std::vector<std::vector<std::string>> entries;
};
[[nodiscard]] std::string listing_json(const Listing& listing);
[[nodiscard]] const view::AnswerDescription& list_answer();

}  // namespace ridge::files
