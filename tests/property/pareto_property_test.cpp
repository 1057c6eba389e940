// The front, against the definition.
#include "property.hpp"
#include "ridge/sweep/pareto.hpp"

#include <cmath>
#include <limits>

namespace ridge::sweep {
namespace {

struct Rows {
  std::size_t width;
  std::vector<double> objectives;
  std::vector<std::uint32_t> groups;

  [[nodiscard]] bool known(std::size_t i) const {
    for (std::size_t k = 0; k < width; ++k) {
      if (std::isnan(objectives[i * width + k])) return false;
    }
    return true;
  }

  [[nodiscard]] bool beats(std::size_t a, std::size_t b) const {
    if (groups[a] != groups[b] || !known(a)) return false;
    bool better = false;
    for (std::size_t k = 0; k < width; ++k) {
      const double x = objectives[a * width + k];
      const double y = objectives[b * width + k];
      if (x > y) return false;
      better |= x < y;
    }
    return better;
  }
};

// Few distinct values, so that ties and equal rows are common.
Rows any_rows() {
  Rows rows{.width = *rc::gen::inRange<std::size_t>(1, 6), .objectives = {}, .groups = {}};
  const auto count = *rc::gen::inRange<std::size_t>(0, 80);
  const int distinct = *rc::gen::element(2, 5, 50);
  for (std::size_t i = 0; i < count; ++i) {
    rows.groups.push_back(*rc::gen::inRange<std::uint32_t>(0, 3));
    for (std::size_t k = 0; k < rows.width; ++k) {
      const bool unknown = *rc::gen::inRange(0, 40) == 0;
      rows.objectives.push_back(unknown ? std::numeric_limits<double>::quiet_NaN()
                                        : *rc::gen::inRange(-distinct, distinct));
    }
  }
  return rows;
}

TEST(ParetoFront, HoldsExactlyTheRowsThatNoOtherBeats) {
  test::expect_property("the front holds exactly the rows that no other beats", [] {
    const Rows rows = any_rows();
    const auto front = pareto_front(rows.objectives, rows.width, rows.groups);
    RC_ASSERT(front.size() == rows.groups.size());
    for (std::size_t i = 0; i < rows.groups.size(); ++i) {
      bool beaten = !rows.known(i);
      for (std::size_t j = 0; j < rows.groups.size(); ++j) beaten |= rows.beats(j, i);
      RC_ASSERT(front[i] == !beaten);
    }
  });
}

}  // namespace
}  // namespace ridge::sweep
