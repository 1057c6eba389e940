// Which Ridge this is, and how it was called.
#pragma once

#include <string>

namespace ridge::tools {

// "ridge 0.1.0"; at length, what a report of a fault should say about the program that showed it.
[[nodiscard]] std::string version(bool at_length);

// The command line, as a shell would take it again. Remembered by main().
void remember_command_line(int argc, char** argv);
[[nodiscard]] const std::string& command_line();

}  // namespace ridge::tools
