// Ctrl-C, for the commands that end early with what they have.
#pragma once

#include <atomic>

namespace ridge::tools {

// Raised by Ctrl-C, which from the first call on ends nothing by itself.
const std::atomic<bool>& stop_on_interrupt();

// Ctrl-C ends the program again, as without a handler.
void interrupt_as_usual();

}  // namespace ridge::tools
