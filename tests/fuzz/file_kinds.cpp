#include "file_kinds.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "ridge/hwmodels/calibrated/measured_modules.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/sweep/sweep.hpp"

#include <array>
#include <filesystem>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

namespace ridge::test {
namespace {

void read_sweep(const std::string& path) {
  const sweep::SweepScenario scenario = sweep::load_sweep(path);
  sweep::check_sweep(scenario);
  double points = 1.0;
  for (const sweep::Axis& axis : scenario.axes) points *= static_cast<double>(axis.length);
  constexpr double kPatience = 500.0;
  if (scenario.kind->name() == "cost" && points < kPatience) (void)sweep::run_sweep(scenario, {});
}

void read_measurement(const std::string& path) {
  const std::array<std::filesystem::path, 1> files = {path};
  (void)hw::calibrated::read_measurements(files);
}

void import(const std::string& path) {
  (void)models::import_huggingface(JsonDocument::read(path), {.name = "imported"});
}

constexpr std::array kKinds = {
    FuzzedKind{"model", [](const std::string& path) { (void)models::load_model(path); }},
    FuzzedKind{"chip", [](const std::string& path) { (void)hw::load_chip(path); }},
    FuzzedKind{"cost-scenario",
               [](const std::string& path) { (void)scenario::load_cost_scenario(path); }},
    FuzzedKind{"sweep-scenario", read_sweep},
    FuzzedKind{"simulate-scenario",
               [](const std::string& path) { (void)scenario::load_simulation(path); }},
    FuzzedKind{"measurement", read_measurement},
    FuzzedKind{"calibration",
               [](const std::string& path) { (void)hw::calibrated::load_calibration(path); }},
    FuzzedKind{"huggingface-config", import},
    FuzzedKind{"huggingface-family", [](const std::string& path) { models::check_family(path); }},
    FuzzedKind{"attention-kernels",
               [](const std::string& path) { hw::calibrated::check_attention_kernels(path); }},
    FuzzedKind{"expert-tiles",
               [](const std::string& path) { hw::calibrated::check_expert_tiles(path); }},
    FuzzedKind{"measured-experts",
               [](const std::string& path) { hw::calibrated::check_measured_experts(path); }},
    FuzzedKind{"measured-modules",
               [](const std::string& path) { hw::calibrated::check_measured_modules(path); }},
    FuzzedKind{"transfer-errors",
               [](const std::string& path) { (void)hw::calibrated::load_transfer_errors(path); }},
};

// A file without a place on any disk.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : fd_(::memfd_create("fuzzed", MFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("no memory file");
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written <= 0) throw std::runtime_error("no room in a memory file");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace

std::span<const FuzzedKind> fuzzed_kinds() {
  return kKinds;
}

bool accepts(const FuzzedKind& kind, std::string_view text) {
  const MemoryFile file(text);
  try {
    kind.read(file.path());
    return true;
  } catch (const UserError& e) {
    if (*e.what() == '\0') throw std::logic_error("a refusal without a word");
    return false;
  }
}

}  // namespace ridge::test
