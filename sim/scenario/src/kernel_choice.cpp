#include "ridge/scenario/kernel_choice.hpp"

namespace ridge::scenario {

void read_preferred(const JsonNode& node, KernelChoice& out) {
  const std::vector<JsonNode> names = node.elements();
  if (node.is_array() && names.empty()) node.expected("the name of at least one kernel");
  for (const JsonNode& name : names) name.read(out.prefer.emplace_back());
}

}  // namespace ridge::scenario
