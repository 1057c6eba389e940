#pragma once

#include "bench/family.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace ridge::kernels::bench {

enum class Action { kMeasure, kCheck, kExplain, kList, kHelp };

struct Options {
  Action action = Action::kMeasure;
  Extent extent = Extent::kQuick;
  std::string output = "measurement.json";
  std::vector<std::string> families;  ///< Empty: all.
  std::string only;                   ///< Only points and cases whose key contains this text.
  bool fresh = false;                 ///< Ignore what an interrupted run left.
  bool skip_check = false;
};

/// A mistake on the command line; what() names the argument and what was expected.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Options parse_options(const std::vector<std::string>& arguments);

std::string usage();

}  // namespace ridge::kernels::bench
