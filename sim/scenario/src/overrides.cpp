#include "ridge/scenario/overrides.hpp"

#include "ridge/base/keys.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

using nlohmann::json;

// What a scenario file refers to, put in place or made independent of the file's folder.
void settle_references(const std::string& file, json& scenario) {
  const auto put_document = [&](json& holder, const char* key,
                                JsonDocument (*load)(const std::string&)) {
    json& reference = holder.at(key);
    if (!reference.is_string()) return;
    reference = load(reference_from(file, reference.get<std::string>())).json();
  };
  put_document(scenario, "model", models::model_document);
  if (scenario.contains("ranges")) put_document(scenario, "ranges", ranges_document);
  for (json& pool : scenario.at("deployment").at("pools")) {
    put_document(pool, "chip", hw::chip_document);
    constexpr std::string_view kCalibrated = "calibrated:";
    json& kernels = pool.at("kernel_model");
    const auto which = kernels.get<std::string>();
    if (!which.starts_with(kCalibrated)) continue;
    const std::string name = which.substr(kCalibrated.size());
    if (const std::string path = reference_from(file, name); path != name) {
      kernels = fmt::format("{}{}", kCalibrated, std::filesystem::absolute(path).string());
    }
  }
  for (const char* place : {"/workload/file", "/noise/experts/shares"}) {
    const json::json_pointer pointer(place);
    if (!scenario.contains(pointer) || !scenario.at(pointer).is_string()) continue;
    json& reference = scenario.at(pointer);
    const auto path = std::filesystem::path(file).parent_path() / reference.get<std::string>();
    reference = std::filesystem::absolute(path).string();
  }
}

}  // namespace

JsonDocument whole_document(const std::string& name_or_path, Library& library) {
  JsonDocument document = JsonDocument::read(scenario_path(name_or_path));
  {
    Diagnostics diagnostics;
    const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
    LocatedScenario located{.file = document.name(), .pointer = {}, .scenario = {}};
    read_keys(JsonNode(document.json(), context), located.scenario);
    // An axis may yet turn a deployment that cannot run into one that can.
    (void)resolve(located, library, diagnostics);
    diagnostics.throw_if_errors();
  }
  settle_references(document.name(), document.json());
  return document;
}

namespace {

// The keys that hold names of documents, and what reads these.
struct Holder {
  std::string_view key;
  JsonDocument (*load)(const std::string& name_or_path, Library& library);
};
JsonDocument model_document(const std::string& name_or_path, Library& /*library*/) {
  return models::model_document(name_or_path);
}
JsonDocument chip_document(const std::string& name_or_path, Library& /*library*/) {
  return hw::chip_document(name_or_path);
}
JsonDocument own_ranges(const std::string& name_or_path, Library& /*library*/) {
  return ranges_document(name_or_path);
}
constexpr std::array kHolders = {
    Holder{"model", model_document},    Holder{"models", model_document},
    Holder{"chip", chip_document},      Holder{"chips", chip_document},
    Holder{"afd_chips", chip_document}, Holder{"ranges", own_ranges},
    Holder{"scenario", whole_document}};

bool is_index(std::string_view token) {
  return !token.empty() && std::all_of(token.begin(), token.end(),
                                       [](unsigned char c) { return std::isdigit(c) != 0; });
}

// One value on its way to its place.
class Placing {
 public:
  Placing(const std::string& file, json& root, std::string pointer, Library& library)
      : file_(file), root_(root), pointer_(std::move(pointer)), library_(library) {}

  // What is wrong, or nothing.
  [[nodiscard]] std::string put(const json& value) {
    if (!is_json_pointer(pointer_)) {
      return "expected a JSON pointer, such as \"/deployment/micro_batches\"";
    }
    json* at = &root_;
    std::string key;
    json::json_pointer rest(pointer_);
    std::vector<std::string> tokens;
    for (; !rest.empty(); rest.pop_back()) tokens.push_back(rest.back());
    std::reverse(tokens.begin(), tokens.end());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::string& token = tokens[i];
      if (at->is_string()) stand_in(*at, key);
      if (at->is_array() && is_index(token) && std::stoull(token) < at->size()) {
        at = &(*at)[std::stoull(token)];
      } else if (at->is_object() && (at->contains(token) || i + 1 == tokens.size())) {
        at = &(*at)[token];
      } else {
        return nowhere();
      }
      if (!is_index(token)) key = token;
    }
    *at = value;
    return {};
  }

 private:
  // The document in place of its name.
  void stand_in(json& name, std::string_view key) {
    const auto* holder = std::find_if(kHolders.begin(), kHolders.end(),
                                      [&](const Holder& known) { return known.key == key; });
    if (holder == kHolders.end()) return;
    name = holder->load(reference_from(file_, name.get<std::string>()), library_).json();
  }

  [[nodiscard]] std::string nowhere() const {
    std::vector<std::string> known;
    const json leaves = root_.flatten();
    for (const auto& item : leaves.items()) known.push_back(item.key());
    return fmt::format("leads nowhere{}", did_you_mean(pointer_, known));
  }

  const std::string& file_;
  json& root_;
  std::string pointer_;
  Library& library_;
};

}  // namespace

JsonDocument with_values(const JsonDocument& document, const JsonDocument& values,
                         Library& library) {
  if (!values.json().is_object()) {
    throw UserError(
        fmt::format("{}: expected an object from JSON pointers to values", values.name()));
  }
  json changed = document.json();
  Diagnostics diagnostics;
  // In rising order, so that a whole document is in place before what changes within it.
  for (const auto& [pointer, value] : values.json().items()) {
    try {
      const std::string problem = Placing(document.name(), changed, pointer, library).put(value);
      if (!problem.empty()) diagnostics.error(document.name(), pointer, problem);
    } catch (const UserError& e) {
      diagnostics.error(document.name(), pointer, e.what());
    }
  }
  diagnostics.throw_if_errors();
  return {document.name(), std::move(changed)};
}

}  // namespace ridge::scenario
