// What tasks of a step are called in pictures and traces.
#pragma once

#include "ridge/decode/step_graph.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ridge::answer {

// In the order in which a picture shows them.
enum class TaskKind : std::uint8_t {
  attention,
  ffn,
  head,
  all_gather,
  reduce_scatter,
  all_reduce,
  dispatch,
  combine,
  sending,
};
inline constexpr std::size_t kTaskKinds = 9;

[[nodiscard]] TaskKind task_kind(const decode::Work& work);
[[nodiscard]] std::string_view name_of(TaskKind kind);
// ": projections", ": shared experts"; empty where a stage is done in one go.
[[nodiscard]] std::string piece_words(const decode::Work& work);
// Runs kernels, rather than moving bytes.
[[nodiscard]] inline bool computes(TaskKind kind) {
  return kind <= TaskKind::head;
}

}  // namespace ridge::answer
