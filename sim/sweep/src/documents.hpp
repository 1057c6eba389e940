// What stands in the place of the name of a model, a chip or ranges (DocumentPlace::load).
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/library.hpp"

#include <string>

namespace ridge::sweep {

inline JsonDocument model_document(const std::string& name_or_path,
                                   scenario::Library& /*library*/) {
  return models::model_document(name_or_path);
}
inline JsonDocument chip_document(const std::string& name_or_path, scenario::Library& /*library*/) {
  return hw::chip_document(name_or_path);
}
inline JsonDocument ranges_document(const std::string& name_or_path,
                                    scenario::Library& /*library*/) {
  return scenario::ranges_document(name_or_path);
}

}  // namespace ridge::sweep
