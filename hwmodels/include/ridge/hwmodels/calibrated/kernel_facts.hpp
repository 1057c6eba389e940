// What the public sources of kernels say, so that it need not be fitted: tiles of attention, since
// measurements that wait for memory cannot tell how many rows a tile pads, and which kernels of it
// are for prompts; tiles of experts, which kernels choose by rules and tables that no measurement
// names; and how layers of experts were measured.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/calibrated/decode_attention.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// `guesses` with what hwmodels/data/kernels/decode_attention.json states of the kernel of this
// curve in place of what was guessed, each once; as they are where it does not know the kernel.
[[nodiscard]] Facts<DecodeAttentionForm::Choice> stated(
    const CurveKey& key, std::string_view chip, std::vector<DecodeAttentionForm::Choice> guesses);

// Whether that file says that the kernel is made for the many queries of one prompt, and engines
// decode with another.
[[nodiscard]] bool made_for_prompts(std::string_view kernel);

// Where that file says that the kernel of this curve of MLA also attends to the tokens that an
// indexer chose, through pages of one token each: the relative error of its times over them, beside
// the curve's own. Nothing where it does not.
[[nodiscard]] std::optional<double> error_over_chosen_tokens(const CurveKey& key);

// In which engines compute the products that have weights for each head, whatever the precision of
// the others; nothing where the file does not say so.
[[nodiscard]] std::optional<Precision> precision_of_head_products();

// What hwmodels/data/kernels/expert_tiles.json states of the kernel of this curve on a chip of this
// name; null where it does not know the kernel. Lives as long as the program.
[[nodiscard]] const ExpertTiles* stated_expert_tiles(const CurveKey& key, std::string_view chip);

// Which padded tiles that file says the kernel of this curve may take, each with its share and its
// largest; none where it does not know the kernel.
[[nodiscard]] std::vector<PaddedTiles> padded_expert_tiles(const CurveKey& key);

// A layer of experts as a table names it.
struct MeasuredExperts {
  std::string_view kernel;
  double hidden = 0;
  double experts = 0;  // of the whole layer
  double top_k = 0;
  double intermediate = 0;  // of one expert, before tensor parallelism
};

// A token's choices lie in the `chosen` best of `groups` equal groups of experts.
struct ExpertGroups {
  std::int64_t groups = 1;
  std::int64_t chosen = 1;
  friend auto operator<=>(const ExpertGroups&, const ExpertGroups&) = default;
};

// How it was measured on a chip of this name (empty: unknown, so that what is stated of some chips
// does not hold), by hwmodels/data/kernels/measured_experts.json. Experts have a gate and are not
// folded but where it says so.
[[nodiscard]] bool experts_have_gate(const MeasuredExperts& layer, std::string_view chip);
// Whether, with expert parallelism, a rank was handed only the tokens that chose one of its
// experts, and computed their choices of other ranks' experts with its first.
[[nodiscard]] bool experts_are_folded(const MeasuredExperts& layer, std::string_view chip);
// Groups of experts in which tokens had to choose, where choices were drawn without regard to them.
[[nodiscard]] ExpertGroups groups_of_experts(const MeasuredExperts& layer, std::string_view chip);
// Whether the fastest in one trial was measured, for all numbers of tokens of a combination.
[[nodiscard]] bool tuned_by_trial(std::string_view kernel);
// Whether it computes what an exchange brought here alone: not where it is handed tokens with their
// choices of other ranks' experts.
[[nodiscard]] bool behind_an_exchange(std::string_view kernel);

// Of these files; check_ throws UserError.
[[nodiscard]] const KeyTable& attention_kernel_keys();
[[nodiscard]] const KeyTable& expert_tiles_keys();
[[nodiscard]] const KeyTable& measured_experts_keys();
void check_attention_kernels(const std::filesystem::path& path);
void check_expert_tiles(const std::filesystem::path& path);
void check_measured_experts(const std::filesystem::path& path);

// One to three tile heights, rising; zeros fill the rest. False after a report.
bool read_tile_rows(const JsonNode& node, std::array<double, 3>& out);
[[nodiscard]] OrderedJson tile_rows_json(const std::array<double, 3>& rows);

}  // namespace ridge::hw::calibrated
