#include "ridge/files/listing.hpp"

#include "ridge/view/answer_keys.hpp"

namespace ridge::files {

static const view::AnswerKeys<Listing>& answer_keys(const Listing* /*of*/) {
  using L = Listing;
  static const view::AnswerKeys<L> keys(
      {{"kind", "What is listed.", &L::kind}, {"entries", "", [](const L& l) {
                                                 std::vector<view::ByName<std::string>> out;
                                                 for (const auto& entry : l.entries) {
                                                   auto& object = out.emplace_back();
                                                   for (std::size_t i = 0; i < entry.size(); ++i) {
                                                     object.emplace_back(l.keys[i], entry[i]);
                                                   }
                                                 }
                                                 return out;
                                               }}});
  return keys;
}

std::string listing_json(const Listing& listing) {
  return view::answer_json(listing);
}
const view::AnswerDescription& list_answer() {
  return answer_keys(static_cast<const Listing*>(nullptr));
}

}  // namespace ridge::files
