#include "ridge/hwmodels/calibrated/calibrate.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/base/parallel.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::hw::calibrated {

namespace {

// "folder/gemm.csv" of a longer path: what identifies a file on another machine.
std::string last_two_parts(const std::string& path) {
  const std::filesystem::path p(path);
  const std::filesystem::path folder = p.parent_path().filename();
  return folder.empty() ? p.filename().string() : (folder / p.filename()).string();
}

const Curve* prior_for(const Calibration* base, const CurveKey& key) {
  return base == nullptr ? nullptr : base->find(key.family, key.format, key.head_dim);
}

// Throws UserError where a preferred kernel is neither measured nor in the base: before the fits,
// which take a while.
void check_preferred(const MeasurementSet& set, const CalibrateOptions& options) {
  if (options.preferred.empty()) return;
  Calibration known;
  known.name = options.name;
  for (const auto& [key, series] : set.series) {
    known.curves.emplace_back().key = key;
  }
  if (options.base != nullptr) complete(known, *options.base);
  prefer(known, options.preferred);
}

std::vector<std::string> notes_of(const Curve& curve, const Calibration& calibration) {
  std::vector<std::string> notes;
  if (curve.standby || curve.held_out.measurements == 0) return notes;
  const std::string what =
      curve.key.slot() + (curve.key.kernel.empty() ? "" : ", " + curve.key.kernel);
  if (curve.held_out.p50 > kPoorCurve) {
    const Use use = use_of(calibration, curve);
    notes.push_back(fmt::format(
        "{}: half of the shapes left out are off by more than {:.0f} %; {}", what,
        100.0 * curve.held_out.p50,
        use == Use::poor ? "a better curve answers instead" : "there is no better one to answer"));
  }
  if (curve.held_out.poorly_chosen > 0.0) {
    notes.push_back(
        fmt::format("{}: {:.1f} % of the measurements take longer than others of their kind at all "
                    "numbers of tokens, as where a trial chose a poor kernel; the curve is of the "
                    "others",
                    what, 100.0 * curve.held_out.poorly_chosen));
  }
  const auto info = parameters_of(curve.fitted);
  const auto values = values_of(curve.fitted);
  for (std::size_t j = 0; j < info.size(); ++j) {
    const double sheet = calibration.machine.memory_TBps;
    if (info[j].role == Role::memory_rate && values[j] < 0.5 * sheet) {
      notes.push_back(fmt::format(
          "{}: its {} is {:.2f}, less than half of the data sheet's {:.2f}: a transfer to another "
          "chip will be off by more than it says",
          what, info[j].name, values[j], sheet));
    }
  }
  return notes;
}

// A device's own name ("<vendor> <CHIP> 80GB HBM3") has the chip's in it.
bool names_chip(const std::string& device, const std::string& chip) {
  const auto plain = [](std::string text) {
    std::erase_if(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
    return lowercase(text);
  };
  return plain(device).find(plain(chip)) != std::string::npos;
}

}  // namespace

void check_device(const MeasurementSet& set, const ChipSpec& chip) {
  const std::string device = set.device();
  if (device.empty() || names_chip(device, chip.name)) return;
  throw UserError(fmt::format("the measurements are of \"{}\", not of {}", device, chip.name));
}

Calibration base_for(const std::string& name_or_path, const ChipSpec& chip) {
  Calibration base = load_calibration(name_or_path);
  return base.chip == chip.name ? base : transferred(base, load_chip(base.chip), chip);
}

CalibrateResult calibrate(const MeasurementSet& set, const ChipSpec& chip,
                          const CalibrateOptions& options) {
  check_preferred(set, options);
  CalibrateResult result;
  result.calibration.name = options.name;
  result.calibration.chip = chip.name;
  result.calibration.machine = machine_of(chip);
  result.calibration.source = options.source;

  // Paths as another machine would know them, and as outliers are to be named.
  MeasurementSet named;
  named.files = set.files;
  for (MeasurementFile& file : named.files) file.path = last_two_parts(file.path);

  std::vector<const std::pair<const CurveKey, Series>*> work;
  for (const auto& entry : set.series) {
    if (std::string reason = refusal(entry.first, entry.second); !reason.empty()) {
      result.refused.push_back(std::move(reason));
      if (options.progress) options.progress();
    } else {
      work.push_back(&entry);
    }
  }
  if (work.empty()) {
    throw UserError(result.refused.empty()
                        ? std::string("there are no measurements to calibrate with")
                        : fmt::format("{}", fmt::join(result.refused, "\n")));
  }
  // The longest first, so that no core is left with it at the end.
  std::stable_sort(work.begin(), work.end(), [](const auto* a, const auto* b) {
    return a->second.size() > b->second.size();
  });

  std::vector<FitResult> fits(work.size());
  const unsigned threads =
      options.threads > 0 ? static_cast<unsigned>(options.threads) : usual_threads();
  parallel_for(threads, work.size(), [&] {
    return [&](std::size_t i) {
      FitOptions fit_options = options.fit;
      fit_options.prior = prior_for(options.base, work[i]->first);
      fit_options.chip = chip.name;
      fits[i] =
          fit(work[i]->first, work[i]->second, result.calibration.machine, named, fit_options);
      if (options.progress) options.progress();
      return true;
    };
  });

  for (std::size_t i = 0; i < fits.size(); ++i) {
    result.held_out.emplace_back(fits[i].curve.key, std::move(fits[i].points));
    result.calibration.curves.push_back(std::move(fits[i].curve));
  }
  if (options.base != nullptr) complete(result.calibration, *options.base);
  order_curves(result.calibration);
  if (!options.preferred.empty()) prefer(result.calibration, options.preferred);
  for (const Curve& curve : result.calibration.curves) {
    for (std::string& note : notes_of(curve, result.calibration)) {
      result.notes.push_back(std::move(note));
    }
  }
  borrow_elementwise(result.calibration);
  return result;
}

}  // namespace ridge::hw::calibrated
