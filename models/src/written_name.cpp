#include "ridge/models/written_name.hpp"

#include "ridge/base/lowercase.hpp"

#include <algorithm>

namespace ridge::models {
namespace {

// A month or a day of release behind a name: "2507", "0528".
bool is_date(std::string_view word) {
  return word.size() == 4 &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "v0.1", "v2": of one format or training of the same shapes.
bool is_version(std::string_view word) {
  return word.size() > 1 && word.front() == 'v' &&
         std::all_of(word.begin() + 1, word.end(),
                     [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

bool leaves_shapes(std::string_view word) {
  constexpr std::string_view kWords[] = {"instruct",
                                         "it",
                                         "chat",
                                         "base",
                                         "pt",
                                         "hf",
                                         "thinking",
                                         "fp16",
                                         "bf16",
                                         "fp8",
                                         "fp4",
                                         "nvfp4",
                                         "mxfp4",
                                         "int8",
                                         "int4",
                                         "w8a8",
                                         "w4a16",
                                         "w4a8",
                                         "w4afp8",
                                         "awq",
                                         "gptq",
                                         "dynamic",
                                         "block",
                                         "kv",
                                         "quantized.w8a8",
                                         "quantized.w4a16"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords) ||
         is_date(word) || is_version(word);
}

}  // namespace

std::vector<std::string> written_names(std::string_view name) {
  std::string words = hyphened(name);
  std::vector<std::string> out{words};
  if (const std::size_t slash = words.find('/'); slash != std::string::npos) {
    out.push_back(words.erase(0, slash + 1));
  }
  for (std::size_t hyphen = words.rfind('-'); hyphen != std::string::npos && hyphen > 0;
       hyphen = words.rfind('-')) {
    if (!leaves_shapes(std::string_view(words).substr(hyphen + 1))) break;
    words.resize(hyphen);
    out.push_back(words);
  }
  return out;
}

}  // namespace ridge::models
