#include "ridge/answer/drawn_inputs.hpp"

namespace ridge::scenario {

const view::AnswerKeys<DrawnInput>& answer_keys(const DrawnInput* /*of*/) {
  using D = DrawnInput;
  static const view::AnswerKeys<D> keys(
      {{"what", "", &D::what}, {"from", "", &D::from}, {"source", "", &D::source}});
  return keys;
}

}  // namespace ridge::scenario
