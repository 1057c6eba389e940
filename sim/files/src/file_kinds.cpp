#include "ridge/files/file_kinds.hpp"

#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/evidence/reproduction.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "ridge/hwmodels/calibrated/measured_modules.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/plan/structure.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/scenario/ranges.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/sweep/sweep.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::files {
namespace {

using nlohmann::json;

// Throws UserError with all problems of the file at this path, those of the files it names
// included.
using Check = void (*)(const std::string& path);
// Whether a file without "$schema" looks like this kind.
using Recognize = bool (*)(const json& document);
// See FileCheck::defaults, of a document in order.
using Defaults = std::vector<std::string> (*)(const json& document);

bool scenario_of(const json& document, std::string_view kind) {
  const auto found = document.find("kind");
  return found != document.end() && *found == kind;
}

void check_cost(const std::string& path) {
  const scenario::CostScenario scenario = scenario::load_cost_scenario(path);
  Diagnostics diagnostics;
  (void)scenario::models_of(scenario, diagnostics);
  (void)scenario::chips_of(scenario, diagnostics);
  diagnostics.throw_if_errors();
}

// Requests are placed before the first step, and what does not fit in memory is found then.
void check_simulation(const std::string& path) {
  const std::atomic<bool> stop{true};
  (void)decode::Simulation(scenario::load_simulation(path).input).run(&stop);
}

// Where there are no messages between pools, the two models of the network are one.
std::vector<std::string> simulation_defaults(const json& document) {
  if (document.at("deployment").at("strategy") != "afd") return {};
  if (document.at("network").contains("model")) return {};
  return {
      "/network/model is \"ports\": messages line up at either end, and what lies between is never "
      "full"};
}

// With the files that it names, and that its strategies can run something of what it allows.
void check_goal(const std::string& path) {
  scenario::Library library;
  const plan::Stocktaking stock(plan::read_goal(path), library);
  const plan::Candidates candidates = plan::candidates(stock);
  if (!candidates.all.empty()) return;
  std::vector<std::string> problems;
  for (const auto& one : candidates.impossible) {
    problems.push_back(fmt::format("{}: {}: {}", path, one.strategy, one.reason));
  }
  if (problems.empty()) problems.push_back(fmt::format("{}: it allows no structure", path));
  throw UserError(fmt::format("{}", fmt::join(problems, "\n")));
}

struct FileKind {
  std::string_view name;
  std::string_view schema;  // docs/schema/<schema>.schema.json
  Recognize recognize;
  Check check;
  const KeyTable& (*keys)();
  Defaults defaults = nullptr;
};

template <typename T>
const KeyTable& table_of() {
  return keys_of(static_cast<const T*>(nullptr));
}

// A new kind of file is one line here.
const std::array kKinds = {
    FileKind{"model", "model",
             [](const json& d) {
               return d.contains("attention") && d.contains("layers") && !d.contains("model_types");
             },
             [](const std::string& path) { (void)models::load_model(path); },
             table_of<models::ModelSpec>},
    FileKind{"chip", "chip", [](const json& d) { return d.contains("matrix_rate"); },
             [](const std::string& path) { (void)hw::load_chip(path); }, table_of<hw::ChipSpec>},
    FileKind{"cost scenario", "cost-scenario", [](const json& d) { return scenario_of(d, "cost"); },
             check_cost, table_of<scenario::CostScenario>},
    FileKind{"sweep scenario", "sweep-scenario",
             [](const json& d) { return scenario_of(d, "sweep"); },
             [](const std::string& path) { sweep::check_sweep(sweep::load_sweep(path)); },
             sweep::sweep_keys},
    FileKind{"simulate scenario", "simulate-scenario",
             [](const json& d) { return scenario_of(d, "simulate"); }, check_simulation,
             table_of<scenario::Scenario>, simulation_defaults},
    FileKind{"goal", "goal", [](const json& d) { return scenario_of(d, "plan"); }, check_goal,
             table_of<plan::Goal>},
    FileKind{"measurement", "measurement",
             [](const json& d) { return d.contains("points") && d.contains("format_version"); },
             [](const std::string& path) {
               const std::array<std::filesystem::path, 1> files = {path};
               (void)hw::calibrated::read_measurements(files);
             },
             hw::calibrated::measurement_keys},
    FileKind{"calibration", "calibration", [](const json& d) { return d.contains("curves"); },
             [](const std::string& path) { (void)hw::calibrated::load_calibration(path); },
             table_of<hw::calibrated::Calibration>},
    FileKind{"facts of attention kernels", "attention-kernels",
             [](const json& d) { return d.contains("kernels"); },
             [](const std::string& path) { hw::calibrated::check_attention_kernels(path); },
             hw::calibrated::attention_kernel_keys},
    FileKind{"family of Hugging Face configurations", "huggingface_family",
             [](const json& d) { return d.contains("model_types"); },
             [](const std::string& path) { models::check_family(path); }, models::family_keys},
    FileKind{"tiles of kernels for layers of experts", "expert-tiles",
             [](const json& d) { return d.contains("expert_tiles"); },
             [](const std::string& path) { hw::calibrated::check_expert_tiles(path); },
             hw::calibrated::expert_tiles_keys},
    FileKind{"how layers of experts were measured", "measured-experts",
             [](const json& d) { return d.contains("without_gate"); },
             [](const std::string& path) { hw::calibrated::check_measured_experts(path); },
             hw::calibrated::measured_experts_keys},
    FileKind{"how whole attention modules were measured", "measured-modules",
             [](const json& d) { return d.contains("without_graph"); },
             [](const std::string& path) { hw::calibrated::check_measured_modules(path); },
             hw::calibrated::measured_modules_keys},
    FileKind{"errors of transfers", "transfer-errors",
             [](const json& d) { return d.contains("transfers") && d.contains("per_fold"); },
             [](const std::string& path) { (void)hw::calibrated::load_transfer_errors(path); },
             table_of<hw::calibrated::TransferErrors>},
    FileKind{"ranges of inputs", "ranges", [](const json& d) { return scenario_of(d, "ranges"); },
             [](const std::string& path) {
               scenario::Library library;
               (void)library.ranges(path);
             },
             table_of<scenario::Ranges>},
    FileKind{"reproduction", "reproduction",
             [](const json& d) { return scenario_of(d, "reproduction"); },
             [](const std::string& path) { (void)evidence::reproduce(path); },
             evidence::reproduction_keys},
    FileKind{"ledger", "ledger", [](const json& d) { return scenario_of(d, "ledger"); },
             [](const std::string& path) { (void)evidence::predict_ledger(path, 0); },
             evidence::ledger_keys},
};

// "../docs/schema/model.schema.json" is "model".
std::string schema_name(const json& document) {
  const auto found = document.find("$schema");
  if (found == document.end() || !found->is_string()) return {};
  const std::string file = std::filesystem::path(found->get<std::string>()).filename().string();
  constexpr std::string_view kEnd = ".schema.json";
  return file.ends_with(kEnd) ? file.substr(0, file.size() - kEnd.size()) : std::string();
}

const FileKind* kind_of(const json& document) {
  if (!document.is_object()) return nullptr;
  const std::string schema = schema_name(document);
  auto found = std::find_if(kKinds.begin(), kKinds.end(),
                            [&](const FileKind& kind) { return kind.schema == schema; });
  if (found == kKinds.end()) {
    found = std::find_if(kKinds.begin(), kKinds.end(),
                         [&](const FileKind& kind) { return kind.recognize(document); });
  }
  return found == kKinds.end() ? nullptr : &*found;
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

const KeyTable* table_named(const std::string& schema) {
  for (const FileKind& kind : kKinds) {
    if (kind.schema == schema) return &kind.keys();
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> schema_names() {
  std::vector<std::string> out;
  for (const FileKind& kind : kKinds) out.emplace_back(kind.schema);
  return out;
}

std::optional<std::string> schema_text(const std::string& name) {
  const KeyTable* table = table_named(name);
  return table != nullptr ? std::optional(table->schema()) : std::nullopt;
}

std::optional<std::string> keys_page(const std::string& name) {
  const KeyTable* table = table_named(name);
  return table != nullptr ? std::optional(table->page()) : std::nullopt;
}

FileCheck check_file(const std::filesystem::path& path) {
  FileCheck result;
  try {
    const JsonDocument document = JsonDocument::read(path);
    const FileKind* kind = kind_of(document.json());
    if (kind == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& known : kKinds) names.push_back(known.name);
      throw UserError(fmt::format(
          "{}: cannot tell what kind of file this is, by its \"$schema\" or its keys; expected one "
          "of: {}",
          path.string(), fmt::join(names, ", ")));
    }
    result.kind = kind->name;
    // A bare name would be looked up among the shipped files.
    const bool bare = !path.has_parent_path() && path != "-";
    kind->check((bare ? "." / path : path).string());
    if (kind->defaults != nullptr) result.defaults = kind->defaults(document.json());
  } catch (const UserError& e) {
    result.problems = lines(e.what());
    result.mistakes = e.mistakes();
  }
  return result;
}

}  // namespace ridge::files
