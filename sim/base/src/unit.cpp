#include "ridge/base/unit.hpp"

#include <array>

namespace ridge {
namespace {

// Longest first where one suffix ends in another.
constexpr std::array kUnits = {
    Unit{"USD_per_hour", "US dollars per hour", 1.0 / 3600.0},
    Unit{"TFLOPps", "teraFLOP per second, dense", 1e12},
    Unit{"TBps", "terabytes (1e12) per second", 1e12},
    Unit{"GBps", "gigabytes (1e9) per second, per direction", 1e9},
    Unit{"MBps", "megabytes (1e6) per second", 1e6},
    Unit{"Gbps", "gigabits (1e9) per second, per direction", 1e9 / 8.0},
    Unit{"GB", "gigabytes (1e9)", 1e9},
    Unit{"MB", "megabytes (1e6)", 1e6},
    Unit{"KiB", "kibibytes (1024)", 1024.0},
    Unit{"MiB", "mebibytes", 1024.0 * 1024.0},
    Unit{"GiB", "gibibytes", 1024.0 * 1024.0 * 1024.0},
    Unit{"bytes", "bytes", 1.0},
    Unit{"ns", "nanoseconds", 1e-9},
    Unit{"us", "microseconds", 1e-6},
    Unit{"ms", "milliseconds", 1e-3},
    Unit{"s", "seconds", 1.0},
    Unit{"W", "watts", 1.0},
    Unit{"USD", "US dollars", 1.0},
};

}  // namespace

std::optional<Unit> unit_of_key(std::string_view key) {
  for (const Unit& unit : kUnits) {
    if (key.size() > unit.suffix.size() + 1 && key.ends_with(unit.suffix) &&
        key[key.size() - unit.suffix.size() - 1] == '_') {
      return unit;
    }
  }
  return std::nullopt;
}

std::string_view stem_of_key(std::string_view key) {
  const auto unit = unit_of_key(key);
  return unit ? key.substr(0, key.size() - unit->suffix.size() - 1) : key;
}

}  // namespace ridge
