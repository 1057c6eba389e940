#include "key_check.hpp"

#include "ridge/base/nearest_name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

class KeyCheck {
 public:
  KeyCheck(const KnownKeys& known, std::string where) : known_(known), where_(std::move(where)) {
    for (const auto* keys : {&known.read, &known.irrelevant}) {
      paths_.insert(keys->begin(), keys->end());
    }
    for (const auto& values : {known.expected, known.mandatory}) {
      if (!values) continue;
      for (const auto& member : values->members()) paths_.insert(member.first);
    }
    for (const std::string& path : paths_) {
      for (auto at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
        inner_.insert(path.substr(0, at));
      }
    }
  }

  void visit(const JsonNode& object, const std::string& prefix) const {
    for (const auto& [key, value] : object.members()) {
      const std::string path = prefix + key;
      // A leading underscore marks a note of the library or of a person.
      if (paths_.contains(path) || irrelevant_everywhere().contains(key) || key.starts_with('_')) {
        continue;
      }
      if (inner_.contains(path)) {
        if (!value.json().is_null()) visit(value, path + "/");
        continue;
      }
      const std::vector<std::string> names(paths_.begin(), paths_.end());
      value.error(fmt::format("not understood in {}, and it might change the cost{}", where_,
                              did_you_mean(path, names)));
    }
  }

  std::vector<std::string> compare(const JsonNode& object, const std::optional<JsonNode>& wanted,
                                   bool may_be_absent) const {
    std::vector<std::string> absent;
    if (!wanted) return absent;
    for (const auto& [path, value] : wanted->members()) {
      const auto found = find_path(object, path);
      const nlohmann::json* understood = &value.json();
      const bool refers =
          understood->is_string() && understood->get_ref<const std::string&>().starts_with('$');
      if (!found) {
        if (!may_be_absent) object.error(fmt::format("missing key \"{}\"", path));
        if (!refers && !understood->is_null()) {
          absent.push_back(fmt::format("\"{}\" as {}", path, understood->dump()));
        }
        continue;
      }
      std::string also;
      if (refers) {
        const std::string other = understood->get_ref<const std::string&>().substr(1);
        const auto same = find_path(object, other);
        if (!same) continue;
        understood = &same->json();
        also = fmt::format(", the value of \"{}\",", other);
      }
      if (found->json() != *understood) {
        found->expected(
            fmt::format("{}{} in {}", understood->is_null() ? "nothing" : understood->dump(), also,
                        where_),
            "; any other is not understood");
      }
    }
    return absent;
  }

 private:
  const KnownKeys& known_;
  std::string where_;
  std::set<std::string> paths_;
  std::set<std::string> inner_;  // objects whose members are known one by one
};

}  // namespace

std::optional<JsonNode> find_path(const JsonNode& object, const std::string& path) {
  std::optional<JsonNode> node = object;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string key = path.substr(begin, end - begin);
    if (!node->is_object() || !node->json().contains(key)) return std::nullopt;
    node = node->child(key);
    begin = end + 1;
  }
  if (node->json().is_null()) return std::nullopt;
  return node;
}

std::vector<std::string> check_keys(const JsonNode& object, const KnownKeys& known,
                                    const std::string& where) {
  const KeyCheck check(known, where);
  check.visit(object, "");
  check.compare(object, known.mandatory, false);
  return check.compare(object, known.expected, true);
}

}  // namespace ridge::models
