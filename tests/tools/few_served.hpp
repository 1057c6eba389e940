// A few of the serving measurements that are shipped: all of them take seconds to predict.
#pragma once

#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <sstream>
#include <string>

namespace ridge::test {

// The path of a CSV of every fourteenth line, and of one that cannot be asked.
inline std::string few_served() {
  static const TemporaryFile kFile("few-served.csv", [] {
    std::istringstream lines(source_text("scenarios/ledger/serving.csv"));
    std::string few;
    int number = 0;
    for (std::string line; std::getline(lines, line); ++number) {
      if (number % 14 == 0 || line.find("even routing") != std::string::npos) few += line + '\n';
    }
    return few;
  }());
  return kFile.path();
}

}  // namespace ridge::test
