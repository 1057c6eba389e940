#include "ridge/view/svg.hpp"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace ridge::view::svg {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string opening(double width, double height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      width, height);
}

std::string grid(const std::vector<std::string>& documents, double width, double height) {
  constexpr std::size_t kToARow = 2;
  constexpr std::string_view kTag = "<svg ";
  const std::size_t columns = std::min(documents.size(), kToARow);
  const std::size_t rows = (documents.size() + kToARow - 1) / kToARow;
  std::string out =
      opening(static_cast<double>(columns) * width, static_cast<double>(rows) * height);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    out += fmt::format("{}x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" ", kTag,
                       static_cast<double>(i % kToARow) * width,
                       static_cast<double>(i / kToARow) * height, width, height);
    out += std::string_view(documents[i]).substr(kTag.size());
  }
  return out + "</svg>\n";
}

}  // namespace ridge::view::svg
