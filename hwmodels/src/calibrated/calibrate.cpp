#include "ridge/hwmodels/calibrated/calibrate.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/parallel.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>

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

}  // namespace

CalibrateResult calibrate(const MeasurementSet& set, const ChipSpec& chip,
                          const CalibrateOptions& options) {
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
  const unsigned threads = options.threads > 0 ? static_cast<unsigned>(options.threads)
                                               : std::max(1U, std::thread::hardware_concurrency());
  parallel_for(threads, work.size(), [&] {
    return [&](std::size_t i) {
      FitOptions fit_options = options.fit;
      fit_options.prior = prior_for(options.base, work[i]->first);
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
  order_curves(result.calibration, options.preferred);
  if (options.base != nullptr) complete(result.calibration, *options.base, options.preferred);
  borrow_elementwise(result.calibration);
  return result;
}

}  // namespace ridge::hw::calibrated
