#include "ridge/base/json_lines.hpp"

#include "ridge/base/ordered_json.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ridge {
namespace {

void print(const OrderedJson& value, std::size_t indent, std::size_t used, std::string& out) {
  constexpr std::size_t kWidth = 100;
  const std::string line = value.dump(-1, ' ', false);
  // dump() sets no spaces; about as many are missing as there are commas and colons.
  const auto spaces = static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return c == ',' || c == ':'; }));
  const bool scalar = !value.is_structured() || value.empty();
  if (scalar || (used + line.size() + spaces <= kWidth && line.find("description") == line.npos)) {
    if (scalar) {
      out += line;
    } else if (value.is_array()) {
      out += '[';
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ", ";
        print(value[i], indent, 0, out);
      }
      out += ']';
    } else {
      out += '{';
      bool first = true;
      for (const auto& item : value.items()) {
        if (!first) out += ", ";
        first = false;
        out += OrderedJson(item.key()).dump() + ": ";
        print(item.value(), indent, 0, out);
      }
      out += '}';
    }
    return;
  }
  const std::string inner(indent + 2, ' ');
  out += value.is_array() ? "[\n" : "{\n";
  bool first = true;
  for (const auto& item : value.items()) {
    if (!first) out += ",\n";
    first = false;
    std::string head = inner;
    if (value.is_object()) head += OrderedJson(item.key()).dump() + ": ";
    out += head;
    print(item.value(), indent + 2, head.size(), out);
  }
  out += '\n' + std::string(indent, ' ') + (value.is_array() ? ']' : '}');
}

}  // namespace

std::string json_lines(const OrderedJson& value) {
  std::string out;
  print(value, 0, 0, out);
  return out + '\n';
}

}  // namespace ridge
