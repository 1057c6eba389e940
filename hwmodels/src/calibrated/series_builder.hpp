// Sorts measurements into series while a file is read.
#pragma once

#include "ridge/hwmodels/calibrated/measurement.hpp"

#include <string>

namespace ridge::hw::calibrated {

class SeriesBuilder {
 public:
  SeriesBuilder(MeasurementSet& set, const std::string& file);

  // `shape_group` names what cross-validation leaves out together, `batch` what varies within it,
  // `choice` for what in it kernels were chosen in one go.
  template <typename Shape>
  void add(const CurveKey& key, const Shape& shape, double us, const std::string& shape_group,
           const std::string& batch, std::uint32_t line, const std::string& choice = {}) {
    Series& series = set_.series[key];
    if (series.us.empty()) series.shapes = std::vector<Shape>();
    std::get<std::vector<Shape>>(series.shapes).push_back(shape);
    append(series, us, shape_group, batch, choice, line);
  }

  void module(MeasuredModule measured, std::uint32_t line);

  // Throws UserError where the file has named another device before.
  void device(const std::string& name, std::uint32_t line);

  // Read without fault, but no curve is made of it.
  void set_aside(const std::string& what) { ++set_.skipped[what]; }

  [[nodiscard]] const std::string& chip() const { return set_.chip; }

  [[nodiscard]] std::size_t rows() const { return set_.files[file_].rows; }

 private:
  void append(Series& series, double us, const std::string& shape_group, const std::string& batch,
              const std::string& choice, std::uint32_t line);

  MeasurementSet& set_;
  std::uint32_t file_;
};

}  // namespace ridge::hw::calibrated
