// What the public sources of kernels say, so that it need not be fitted: tiles of attention, since
// measurements that wait for memory cannot tell how many rows a tile pads; and which layers of
// experts were measured without a gate.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/decode_attention.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"

#include <array>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// `guesses` with what hwmodels/data/kernels/decode_attention.json states of the kernel of this
// curve in place of what was guessed, each once; as they are where it does not know the kernel.
[[nodiscard]] Facts<DecodeAttentionForm::Choice> stated(
    const CurveKey& key, std::vector<DecodeAttentionForm::Choice> guesses);

// Whether the experts of a measured layer have a gate, by
// hwmodels/data/kernels/experts_without_gate.json: all have, but those that it lists.
[[nodiscard]] bool experts_have_gate(std::string_view kernel, double experts, double top_k,
                                     double intermediate);

// One to three tile heights, rising.
void read_tile_rows(const JsonNode& node, std::array<double, 3>& out);

}  // namespace ridge::hw::calibrated
