// What ranks do of a plan: a structure judged, a batch reached, a deployment held to draws. A piece
// is a line of JSON, and so is what became of it, whose numbers keep all of their digits.
#pragma once

#include "drawing.hpp"
#include "evaluation.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace ridge::plan {

// By Evaluation::judge(), Evaluation::reach() and Drawing::draw().
[[nodiscard]] std::string piece_to_judge(std::size_t candidate, double needed, Seconds limit);
[[nodiscard]] std::string piece_to_reach(std::size_t candidate, std::int64_t requests,
                                         Seconds limit);
[[nodiscard]] std::string piece_to_draw(std::size_t candidate, const Choice& choice);

[[nodiscard]] Judged judged_of(std::string_view answer, const Candidates::One& candidate);
[[nodiscard]] Reached reached_of(std::string_view answer);
[[nodiscard]] Drawn drawn_of(std::string_view answer, Choice choice);

// One thread's way through pieces.
class PieceWorker {
 public:
  // `drawing` is called for a piece of its kind alone. All must outlive this object.
  PieceWorker(const Candidates& candidates, const Evaluation& evaluation,
              std::function<const Drawing&()> drawing)
      : candidates_(candidates), evaluation_(evaluation), drawing_(std::move(drawing)) {}

  [[nodiscard]] std::string answer(const std::string& piece) const;

 private:
  const Candidates& candidates_;
  const Evaluation& evaluation_;
  std::function<const Drawing&()> drawing_;
};

}  // namespace ridge::plan
