// Which blocks each layer uses.
#pragma once

#include "config.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ridge::models {

struct Layout {
  using Layer = std::pair<std::string, std::string>;  // names of its attention and FFN blocks
  struct Run {
    std::int64_t repeat = 1;
    std::vector<Layer> pattern;
  };

  std::vector<Layer> layers;
  std::int64_t drafts = 0;  // multi-token prediction modules, all alike
  Layer draft;

  // The same sequence in few runs.
  [[nodiscard]] std::vector<Run> runs() const;
};

// By the family's rules. Nothing where the configuration is wrong, which is reported.
[[nodiscard]] std::optional<Layout> lay_out(Config& config,
                                            const std::function<void(std::string)>& assume);

}  // namespace ridge::models
