// The files that questions refer to, each read once: models, chips, calibrations, traces, shares,
// and the ranges that intervals draw from.
#pragma once

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/json.hpp"
#include "ridge/decode/workload.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/kernel_choice.hpp"
#include "ridge/scenario/ranges.hpp"
#include "ridge/scenario/reference.hpp"
#include "ridge/scenario/request_trace.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace ridge::scenario {

// Shipped files by name, others by path. Every member may be called from any thread and throws
// UserError for a file that cannot be read. A file that changes on disk is not read again.
class Library {
 public:
  [[nodiscard]] std::shared_ptr<const models::ModelSpec> model(const std::string& name_or_path);
  [[nodiscard]] std::shared_ptr<const hw::ChipSpec> chip(const std::string& name_or_path);
  [[nodiscard]] std::shared_ptr<const hw::calibrated::Calibration> calibration(
      const std::string& name_or_path);
  [[nodiscard]] std::shared_ptr<const JsonDocument> document(const std::string& path);
  [[nodiscard]] std::shared_ptr<const RequestTrace> trace(const std::string& path,
                                                          const Trace& how);

  // Those that ship.
  [[nodiscard]] std::shared_ptr<const Ranges> ranges();
  // The same with a question's own over them, where it has any: its `file` says so at `pointer`.
  // Null after a report.
  [[nodiscard]] std::shared_ptr<const Ranges> ranges(const std::optional<RangesReference>& own,
                                                     const std::string& file,
                                                     const std::string& pointer,
                                                     Diagnostics& diagnostics);
  // The same with those of a file over them.
  [[nodiscard]] std::shared_ptr<const Ranges> ranges(const std::string& name_or_path);

  // A relative path to a calibration counts from the folder of `scenario_file`. `as_shipped`: the
  // chip without what a pool says of its links, which a calibration made on it was measured over.
  [[nodiscard]] std::unique_ptr<hw::KernelModel> kernels(const KernelChoice& choice,
                                                         const hw::ChipSpec& chip,
                                                         const std::string& scenario_file,
                                                         std::optional<CalibrationDraw> draw = {},
                                                         const hw::ChipSpec* as_shipped = nullptr);

  // What was read under which names, and digests of it, sorted. What is read past the library is
  // told to it by note().
  [[nodiscard]] std::vector<std::string> contents() const;
  void note(const std::string& name, const ReadRecord& record);

 private:
  template <typename T>
  using Shelf = std::map<std::string, std::shared_ptr<const T>>;
  template <typename T, typename Read>
  std::shared_ptr<const T> from(Shelf<T>& shelf, const std::string& name, Read&& read);

  mutable std::mutex mutex_;
  std::set<std::string> contents_;
  Shelf<models::ModelSpec> models_;
  Shelf<hw::ChipSpec> chips_;
  Shelf<hw::calibrated::Calibration> calibrations_;
  Shelf<JsonDocument> documents_;
  Shelf<RequestTrace> traces_;
  Shelf<Ranges> ranges_;
};

}  // namespace ridge::scenario
