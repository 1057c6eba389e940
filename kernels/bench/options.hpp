#pragma once

#include "bench/family.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace ridge::kernels::bench {

enum class Action {
  kMeasure,
  kCheck,
  kExplain,
  kList,
  kHelp,
  kDescribe,  ///< Internal: tell the device.
  kWork,      ///< Internal: do the items that come on standard input.
};

struct Options {
  Action action = Action::kMeasure;
  Extent extent = Extent::kQuick;
  std::string output = "measurement.json";
  std::vector<std::string> families;  ///< Empty: all.
  std::string only;                   ///< Only points and cases whose key contains this text.
  bool fresh = false;                 ///< Set aside what an interrupted run left.
  bool skip_check = false;
  bool smoke = false;        ///< Of the comparisons only the simplest of every compiled kernel.
  double time_limit_s = 0;   ///< Of the whole run; 0: none.
  double item_limit_s = 30;  ///< Of one comparison or one point.
};

/// A mistake on the command line; what() names the argument and what was expected.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Options parse_options(const std::vector<std::string>& arguments);

std::string usage();

}  // namespace ridge::kernels::bench
