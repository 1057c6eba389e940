#include "moe/permutation.hpp"

#include <stdexcept>
#include <string>

namespace ridge::kernels::moe {
namespace {

std::size_t pick_index(int token, int slot, int slots) {
  return static_cast<std::size_t>(token) * static_cast<std::size_t>(slots) +
         static_cast<std::size_t>(slot);
}

}  // namespace

Permutation permute(const LayerShape& shape, const RouterOutput& router) {
  if (const char* problem = problem_with(shape)) throw std::invalid_argument(problem);
  const std::size_t picks = pick_index(shape.tokens, 0, shape.top_k);
  if (router.tokens != shape.tokens || router.top_k != shape.top_k ||
      router.experts.size() != picks || router.weights.size() != picks)
    throw std::invalid_argument("the router's output has another size than the layer");

  const int slots_per_token = shape.top_k + shape.shared_experts;
  const auto group_of = [&](int token, int slot) {
    if (slot >= shape.top_k) return shape.local_experts + slot - shape.top_k;
    const int expert = router.experts[pick_index(token, slot, shape.top_k)];
    if (expert < 0 || expert >= shape.experts)
      throw std::invalid_argument("the router picked expert " + std::to_string(expert) + " of " +
                                  std::to_string(shape.experts));
    return shape.is_local(expert) ? expert - shape.first_expert : kNotLocal;
  };

  Permutation out;
  out.group_offsets.assign(static_cast<std::size_t>(shape.groups()) + 1, 0);
  for (int token = 0; token < shape.tokens; ++token)
    for (int slot = 0; slot < slots_per_token; ++slot)
      if (const int group = group_of(token, slot); group != kNotLocal)
        ++out.group_offsets[static_cast<std::size_t>(group) + 1];
  for (std::size_t g = 1; g < out.group_offsets.size(); ++g)
    out.group_offsets[g] += out.group_offsets[g - 1];

  std::vector<std::int32_t> next_row(out.group_offsets.begin(), out.group_offsets.end() - 1);
  out.row_of_slot.assign(pick_index(shape.tokens, 0, slots_per_token), kNotLocal);
  out.slot_of_row.resize(static_cast<std::size_t>(out.rows()));
  for (int token = 0; token < shape.tokens; ++token) {
    for (int slot = 0; slot < slots_per_token; ++slot) {
      const int group = group_of(token, slot);
      if (group == kNotLocal) continue;
      const int row = next_row[static_cast<std::size_t>(group)]++;
      out.row_of_slot[pick_index(token, slot, slots_per_token)] = row;
      out.slot_of_row[static_cast<std::size_t>(row)] = token * slots_per_token + slot;
    }
  }
  return out;
}

std::vector<std::int32_t> group_sizes(const Permutation& permutation) {
  std::vector<std::int32_t> sizes;
  for (std::size_t g = 0; g + 1 < permutation.group_offsets.size(); ++g)
    sizes.push_back(permutation.group_offsets[g + 1] - permutation.group_offsets[g]);
  return sizes;
}

}  // namespace ridge::kernels::moe
