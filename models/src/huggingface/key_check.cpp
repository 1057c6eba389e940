#include "key_check.hpp"

#include "ridge/base/nearest_name.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

// Nothing, or nothing but nothing.
bool is_off(const json& value) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number()) return value.get<double>() == 0.0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return std::all_of(value.begin(), value.end(), is_off);
}

bool is_neutral(const std::string& key, const json& value) {
  if (is_off(value)) return true;
  const auto known = irrelevant_everywhere().neutral.find(key);
  if (known == irrelevant_everywhere().neutral.end()) return false;
  const auto is_known = [&](const json& x) {
    return std::find(known->second.begin(), known->second.end(), x) != known->second.end();
  };
  return value.is_array() ? std::all_of(value.begin(), value.end(), is_known) : is_known(value);
}

bool is_irrelevant(const std::string& key) {
  // A leading underscore marks a note of the library or of a person.
  const auto& patterns = irrelevant_everywhere().patterns;
  return key.starts_with('_') || std::any_of(patterns.begin(), patterns.end(),
                                             [&](const auto& p) { return matches(p, key); });
}

class KeyCheck {
 public:
  KeyCheck(const KnownKeys& known, std::string where, const Evaluate& evaluate)
      : known_(known), where_(std::move(where)), evaluate_(evaluate) {
    for (const auto* keys : {&known.read, &known.irrelevant}) {
      for (const std::string& key : *keys) {
        if (key.find('*') == std::string::npos) {
          paths_.insert(key);
        } else {
          patterns_.push_back(key);
        }
      }
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

  void visit(const JsonNode& object, const std::string& prefix, KeyReport& report) const {
    for (const auto& [key, value] : object.members()) {
      const std::string path = prefix + key;
      if (paths_.contains(path) || fits_a_pattern(path) || is_irrelevant(key)) continue;
      if (inner_.contains(path)) {
        if (!value.json().is_null()) visit(value, path + "/", report);
        continue;
      }
      if (is_neutral(key, value.json())) {
        report.neutral.push_back(fmt::format("\"{}\"", path));
        continue;
      }
      const std::vector<std::string> names(paths_.begin(), paths_.end());
      value.error(
          fmt::format("not understood in {}, and it might change the cost{}; where you know that "
                      "it does not, leave it out with --ignore {}",
                      where_, did_you_mean(path, names), key));
    }
  }

  void compare(const JsonNode& object, const std::optional<JsonNode>& wanted, bool may_be_absent,
               std::vector<std::string>& absent) const {
    if (!wanted) return;
    for (const auto& [path, understood] : wanted->members()) {
      const auto found = find_path(object, path);
      const auto alternatives = find_path(understood, "any_of");
      std::set<std::string> references;
      collect_references(understood, references);
      if (!found) {
        if (!may_be_absent) object.error(fmt::format("missing key \"{}\"", path));
        const JsonNode taken = alternatives ? alternatives->child(0) : understood;
        if (references.empty() && !taken.json().is_null()) {
          absent.push_back(fmt::format("\"{}\" as {}", path, taken.json().dump()));
        }
        continue;
      }
      std::vector<std::string> shown;
      bool fits = false;
      for (const JsonNode& one :
           alternatives ? alternatives->elements() : std::vector{understood}) {
        const json value = evaluate_(one);
        // What cannot be computed is reported elsewhere or cannot be contradicted.
        fits = fits || found->json() == value || (value.is_null() && !one.json().is_null());
        shown.push_back(value.is_null() ? "nothing" : value.dump());
      }
      if (fits) continue;
      const std::string also = references.empty() ? ""
                                                  : fmt::format(", the value of \"{}\",",
                                                                fmt::join(references, "\" and \""));
      found->expected(fmt::format("{}{} in {}", fmt::join(shown, " or "), also, where_),
                      "; any other is not understood");
    }
  }

 private:
  [[nodiscard]] bool fits_a_pattern(const std::string& path) const {
    return std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const std::string& pattern) { return matches(pattern, path); });
  }

  const KnownKeys& known_;
  std::string where_;
  const Evaluate& evaluate_;
  std::set<std::string> paths_;
  std::vector<std::string> patterns_;
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

KeyReport check_keys(const JsonNode& object, const KnownKeys& known, const std::string& where,
                     const Evaluate& evaluate) {
  const KeyCheck check(known, where, evaluate);
  KeyReport report;
  check.visit(object, "", report);
  check.compare(object, known.mandatory, false, report.absent);
  check.compare(object, known.expected, true, report.absent);
  return report;
}

}  // namespace ridge::models
