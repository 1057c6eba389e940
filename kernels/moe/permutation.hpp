#pragma once

#include "moe/routing.hpp"
#include "moe/shape.hpp"

#include <cstdint>
#include <vector>

/// Sorting (token, pick) pairs by expert, so that each expert's tokens are consecutive rows.
namespace ridge::kernels::moe {

/// Row that a pick of a non-local expert has.
inline constexpr std::int32_t kNotLocal = -1;

/// Slots are token-major with `top_k + shared_experts` per token: the router's picks first, then
/// one per shared expert.
struct Permutation {
  /// First row of each group; `group_offsets[groups]` is the number of rows.
  std::vector<std::int32_t> group_offsets;
  /// Row of each slot, or `kNotLocal`.
  std::vector<std::int32_t> row_of_slot;
  /// Slot of each row: the inverse.
  std::vector<std::int32_t> slot_of_row;

  [[nodiscard]] int rows() const { return group_offsets.back(); }
};

/// Stable: within a group, rows keep the order of their tokens.
/// Throws std::invalid_argument when the router's output does not fit `shape`, or names an expert
/// outside 0..experts-1.
Permutation permute(const LayerShape& shape, const RouterOutput& router);

/// Number of tokens of each group.
std::vector<std::int32_t> group_sizes(const Permutation& permutation);

}  // namespace ridge::kernels::moe
