// Which attention the whole modules of public tables are of, and how they ran, where their columns
// do not say: hwmodels/data/kernels/measured_modules.json.
#pragma once

#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "ridge/models/attention.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

struct ModuleModel {
  std::int64_t hidden = 0;
  std::vector<models::AttentionBlock> attentions;  // before tensor parallelism
};

// The model that tables of modules call so, by any of its models::written_names(): as the file has
// it, else the shipped one of that name. Nothing where neither knows it.
[[nodiscard]] std::optional<ModuleModel> module_model(const std::string& name);

// Whether it was launched from the host, whose time is then in it, on a chip of this name (empty:
// unknown, so that what is stated of some chips does not hold).
[[nodiscard]] bool ran_without_graph(const MeasuredModule& module, std::string_view chip);

// The kernels that time a module of this name, the first most: those that the file says it calls,
// then its engine's.
[[nodiscard]] std::vector<std::string> kernels_of_module(const std::string& module);

// Of the file; check_ throws UserError.
[[nodiscard]] const KeyTable& measured_modules_keys();
void check_measured_modules(const std::filesystem::path& path);

}  // namespace ridge::hw::calibrated
