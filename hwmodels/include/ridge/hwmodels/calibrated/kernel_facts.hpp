// What the public sources of attention kernels say of their tiles, so that it need not be fitted:
// measurements that wait for memory cannot tell how many rows a tile pads.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/decode_attention.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"

#include <array>
#include <vector>

namespace ridge::hw::calibrated {

// `guesses` with what hwmodels/data/kernels/decode_attention.json states of the kernel of this
// curve in place of what was guessed, each once; as they are where it does not know the kernel.
[[nodiscard]] Facts<DecodeAttentionForm::Choice> stated(
    const CurveKey& key, std::vector<DecodeAttentionForm::Choice> guesses);

// One to three tile heights, rising.
void read_tile_rows(const JsonNode& node, std::array<double, 3>& out);

}  // namespace ridge::hw::calibrated
