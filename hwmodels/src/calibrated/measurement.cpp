#include "ridge/hwmodels/calibrated/measurement.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "series_builder.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include <fmt/format.h>

namespace ridge::hw::calibrated {

namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20U;

// FNV-1a: groups are told apart by the hash of their name, equal in every file and run.
std::uint32_t hash(std::string_view text) {
  std::uint32_t h = 2166136261U;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 16777619U;
  return h;
}

}  // namespace

SeriesBuilder::SeriesBuilder(MeasurementSet& set, const std::string& file)
    : set_(set), file_(static_cast<std::uint32_t>(set.files.size())) {
  set_.files.push_back({.path = file, .device = {}, .rows = 0});
}

void SeriesBuilder::append(Series& series, double us, const std::string& shape_group,
                           const std::string& batch, const std::string& choice,
                           std::uint32_t line) {
  if (!choice.empty()) series.choice_group.push_back(hash(shape_group + '|' + choice));
  series.us.push_back(us);
  series.shape_group.push_back(hash(shape_group));
  series.batch_group.push_back(hash(shape_group + '|' + batch));
  series.origin.push_back({.file = file_, .line = line});
  ++set_.files[file_].rows;
}

void SeriesBuilder::module(MeasuredModule measured, std::uint32_t line) {
  measured.origin = {.file = file_, .line = line};
  set_.modules.push_back(std::move(measured));
}

void SeriesBuilder::device(const std::string& name, std::uint32_t line) {
  MeasurementFile& file = set_.files[file_];
  if (file.device.empty()) {
    file.device = name;
  } else if (file.device != name) {
    throw UserError(
        fmt::format("{}: line {}: measurements of {} and of {} in one file; a "
                    "calibration is of one device",
                    file.path, line, file.device, name));
  }
}

std::span<const Named<MeasuredModule::Kind>> module_names() {
  using Kind = MeasuredModule::Kind;
  static constexpr std::array<Named<Kind>, 5> kNames = {
      {{"module", Kind::sparse_latent},
       {"module_shared_index", Kind::sparse_latent_reusing},
       {"csa_module", Kind::compressed_sparse},
       {"hca_module", Kind::compressed},
       {"block_sparse_module", Kind::block_sparse}}};
  return kNames;
}

std::string_view name_of(MeasuredModule::Kind kind) {
  return module_names()[static_cast<std::size_t>(kind)].name;
}

std::size_t MeasurementSet::rows() const {
  std::size_t sum = 0;
  for (const MeasurementFile& file : files) sum += file.rows;
  return sum;
}

std::string MeasurementSet::device() const {
  const MeasurementFile* first = nullptr;
  for (const MeasurementFile& file : files) {
    if (file.device.empty()) continue;
    if (first != nullptr && file.device != first->device) {
      throw UserError(fmt::format("{} was measured on {}, {} on {}; a calibration is of one device",
                                  first->path, first->device, file.path, file.device));
    }
    if (first == nullptr) first = &file;
  }
  return first == nullptr ? std::string() : first->device;
}

std::vector<std::string> MeasurementSet::left_aside(bool with_modules) const {
  std::map<std::string, std::size_t> aside = skipped;
  if (with_modules) {
    for (const MeasuredModule& module : modules) {
      ++aside[fmt::format("whole modules of {}", module.kernel)];
    }
  }
  std::vector<std::string> words;
  for (const auto& [what, points] : aside) {
    words.push_back(fmt::format(
        "{} measurements are left aside, since no curve is made of them: {}", points, what));
  }
  return words;
}

std::vector<std::filesystem::path> measurement_files(std::span<const std::string> names) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    std::error_code failure;
    if (!fs::is_directory(name, failure)) {
      files.emplace_back(name);
      continue;
    }
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(name)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".csv" || extension == ".json") found.push_back(entry.path());
    }
    if (found.empty()) throw UserError(fmt::format("{}: no .csv or .json file in it", name));
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

MeasurementSet read_measurements(std::span<const std::filesystem::path> files,
                                 std::string_view chip) {
  MeasurementSet set;
  set.chip = chip;
  std::string problems;
  for (const std::filesystem::path& path : files) {
    try {
      const std::string text = read_file(path, kMaxFileBytes);
      if (path.extension() == ".json") {
        read_measurement_json(text, path.string(), set);
      } else {
        read_measurement_csv(text, path.string(), set);
      }
    } catch (const UserError& error) {
      if (!problems.empty()) problems += '\n';
      problems += error.what();
    }
  }
  if (!problems.empty()) throw UserError(problems);
  (void)set.device();
  return set;
}

}  // namespace ridge::hw::calibrated
