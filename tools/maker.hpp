// Which Ridge an answer, a page or a journal is by.
#pragma once

#include <string>

namespace ridge::tools {

// "Ridge 0.1.0, commit 2d3230c": the same of the program and of the Python module of one build, so
// that either goes on with what the other wrote.
[[nodiscard]] std::string maker();
[[nodiscard]] std::string commit();

}  // namespace ridge::tools
