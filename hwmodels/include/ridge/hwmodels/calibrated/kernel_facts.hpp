// What the public sources of attention kernels say of their tiles, so that it need not be fitted:
// measurements that wait for memory cannot tell how many rows a tile pads.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/decode_attention.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"

#include <array>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

struct AttentionFacts {
  std::vector<DecodeAttentionForm::Choice> choices;  // that a fit may try
  double matrix_share = 1.0;                         // of the data sheet's matrix rate, at most
};

// From hwmodels/data/kernels/decode_attention.json where it knows the kernel of this curve; all
// choices and no limit otherwise.
[[nodiscard]] AttentionFacts attention_facts(const CurveKey& key);

[[nodiscard]] std::span<const Named<SplitPolicy>> split_names();

// One to three tile heights, rising.
void read_tile_rows(const JsonNode& node, std::array<double, 3>& out);

}  // namespace ridge::hw::calibrated
