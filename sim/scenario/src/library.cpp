#include "ridge/scenario/library.hpp"

#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"
#include "ridge/scenario/scenario.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::scenario {

using hw::calibrated::Calibration;

// Reads without the lock, so that a long file holds up nobody; of two readers of one file the first
// to finish is kept.
template <typename T, typename Read>
std::shared_ptr<const T> Library::from(Shelf<T>& shelf, const std::string& name, Read&& read) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = shelf.find(name); found != shelf.end()) return found->second;
  }
  const ReadRecord record;
  auto made = std::make_shared<const T>(read());
  note(name, record);
  const std::lock_guard lock(mutex_);
  return shelf.emplace(name, std::move(made)).first->second;
}

std::vector<std::string> Library::contents() const {
  const std::lock_guard lock(mutex_);
  return {contents_.begin(), contents_.end()};
}

void Library::note(const std::string& name, const ReadRecord& record) {
  const std::string line = fmt::format("{} {}", name, record.digest());
  const std::lock_guard lock(mutex_);
  contents_.insert(line);
}

std::shared_ptr<const models::ModelSpec> Library::model(const std::string& name_or_path) {
  return from(models_, name_or_path, [&] { return models::load_model(name_or_path); });
}
std::shared_ptr<const hw::ChipSpec> Library::chip(const std::string& name_or_path) {
  return from(chips_, name_or_path, [&] { return hw::load_chip(name_or_path); });
}
std::shared_ptr<const Calibration> Library::calibration(const std::string& name_or_path) {
  // The intervals of a transfer rest on it too, but it is read once in a process.
  (void)from(documents_, "errors of transfers",
             [] { return JsonDocument::read(hw::calibrated::transfer_errors_path()); });
  return from(calibrations_, name_or_path,
              [&] { return hw::calibrated::load_calibration(name_or_path); });
}
std::shared_ptr<const JsonDocument> Library::document(const std::string& path) {
  return from(documents_, path, [&] { return JsonDocument::read(path); });
}
namespace {
constexpr const char* kShippedRanges = "inputs";
}  // namespace

std::shared_ptr<const Ranges> Library::ranges() {
  return from(ranges_, kShippedRanges,
              [&] { return read_ranges(ranges_document(kShippedRanges)); });
}
std::shared_ptr<const Ranges> Library::ranges(const std::string& name_or_path) {
  // Read ahead, so that what is noted of the file does not depend on who read what before.
  const auto shipped = ranges();
  return from(ranges_, name_or_path, [&] {
    Diagnostics diagnostics;
    const JsonDocument document = ranges_document(name_or_path);
    Ranges out = over(read_ranges(document), *shipped,
                      [&](const std::string& pointer, const std::string& message) {
                        diagnostics.error(document.name(), pointer, message);
                      });
    diagnostics.throw_if_errors();
    return out;
  });
}
std::shared_ptr<const Ranges> Library::ranges(const std::optional<RangesReference>& own,
                                              const std::string& file, const std::string& pointer,
                                              Diagnostics& diagnostics) {
  // A mistake in what ships is none of the question's.
  const auto shipped = ranges();
  if (!own) return shipped;
  try {
    if (!own->spec) return ranges(reference_from(file, own->name));
  } catch (const UserError& e) {
    diagnostics.error(file, pointer, e.what());
    return nullptr;
  }
  bool well = true;
  auto out = std::make_shared<const Ranges>(
      over(*own->spec, *shipped, [&](const std::string& place, const std::string& message) {
        diagnostics.error(file, pointer + place, message);
        well = false;
      }));
  return well ? out : nullptr;
}
std::shared_ptr<const RequestTrace> Library::trace(const std::string& path, const Trace& how) {
  const std::string name =
      fmt::format("{}\n{} {} {} {}", path, how.rate_scale, how.max_requests.value_or(0), how.sort,
                  how.timestamp_unit ? static_cast<int>(*how.timestamp_unit) : -1);
  return from(traces_, name, [&] { return read_trace(path, how); });
}

namespace {
bool is_shipped(const std::string& chip) {
  static const std::vector<std::string> names = hw::chip_names();
  return std::find(names.begin(), names.end(), chip) != names.end();
}
}  // namespace

std::unique_ptr<hw::KernelModel> Library::kernels(const KernelChoice& choice,
                                                  const hw::ChipSpec& chip,
                                                  const std::string& scenario_file,
                                                  std::optional<CalibrationDraw> draw,
                                                  const hw::ChipSpec* as_shipped) {
  constexpr std::string_view kCalibrated = "calibrated:";
  const std::string& which = choice.model;
  if (choice.assumed && which != "theoretical") {
    throw UserError("assumed_kernels go with \"theoretical\": a calibration has measured them");
  }
  if (which == "theoretical") {
    if (!choice.others.empty()) {
      throw UserError(
          "other_kernels tells of kernels that were not measured; \"theoretical\" knows of none "
          "that was");
    }
    if (choice.prefer.empty()) {
      return choice.assumed ? hw::assumed_model(chip, *choice.assumed)
                            : hw::theoretical_model(chip);
    }
    throw UserError(
        "prefer_kernels chooses between measured kernels; \"theoretical\" knows of none");
  }
  if (!which.starts_with(kCalibrated)) {
    throw UserError(
        fmt::format("expected \"theoretical\" or \"calibrated:NAME\" with the name or "
                    "path of a calibration, got \"{}\"",
                    which));
  }
  const auto shared = calibration(reference_from(scenario_file, which.substr(kCalibrated.size())));
  // A part that does not exist yet has the name of one that does, and other figures than its sheet.
  std::shared_ptr<const hw::ChipSpec> sheet;
  if (chip.name == shared->chip && is_shipped(chip.name)) sheet = this->chip(chip.name);
  const hw::ChipSpec* measured = sheet ? sheet.get() : as_shipped;
  const bool same_name = measured != nullptr && chip.name == shared->chip;
  // Moved before it is drawn from, so that draws have what a move adds to its errors.
  const bool on_another_chip =
      chip.name != shared->chip ||
      (same_name && hw::calibrated::on_other_silicon(*shared, *measured, chip));
  const bool on_other_links = same_name && !on_another_chip &&
                              (chip.nic_bandwidth.value != measured->nic_bandwidth.value ||
                               chip.scale_up_bandwidth.value != measured->scale_up_bandwidth.value);
  if (choice.prefer.empty() && choice.others.empty() && !draw && !on_other_links &&
      !on_another_chip) {
    return hw::calibrated_model(chip, *shared);
  }
  Calibration calibration = *shared;
  if (!choice.prefer.empty()) {
    prefer(calibration, choice.prefer);
    // As provenance tells it.
    calibration.name += fmt::format(" with {}", fmt::join(choice.prefer, ", "));
  }
  if (!choice.others.empty()) {
    calibration = hw::calibrated::for_other_kernels(std::move(calibration), choice.others);
  }
  if (on_another_chip) {
    calibration = hw::calibrated::transferred(
        calibration, same_name ? *measured : hw::load_chip(shared->chip), chip);
  }
  if (on_other_links) {
    calibration = hw::calibrated::on_other_links(std::move(calibration), *measured, chip);
  }
  if (draw) {
    calibration =
        hw::calibrated::slowed(hw::calibrated::resampled(calibration, draw->seed), draw->release);
  }
  return hw::calibrated_model(chip, calibration);
}

}  // namespace ridge::scenario
