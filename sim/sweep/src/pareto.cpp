#include "ridge/sweep/pareto.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

namespace ridge::sweep {
namespace {

constexpr std::size_t kStaircaseWidth = 3;

// Rows are met in rising order of their first objective, so that only the others are left to
// compare: a row is beaten if one met before is no worse in all of them.
class Front {
 public:
  explicit Front(std::size_t width) : width_(width) {}

  void clear() {
    stairs_.clear();
    rows_.clear();
  }

  // Whether `row` joins the front.
  bool offer(const double* row) {
    return width_ <= kStaircaseWidth
               ? offer_to_stairs(width_ > 1 ? row[1] : 0.0, width_ > 2 ? row[2] : 0.0)
               : offer_to_rows(row);
  }

 private:
  bool offer_to_stairs(double y, double z) {
    auto above = stairs_.upper_bound(y);
    if (above != stairs_.begin() && std::prev(above)->second <= z) return false;
    auto at = stairs_.lower_bound(y);
    while (at != stairs_.end() && at->second >= z) at = stairs_.erase(at);
    stairs_.emplace_hint(at, y, z);
    return true;
  }

  bool offer_to_rows(const double* row) {
    for (const double* known : rows_) {
      if (std::equal(known + 1, known + width_, row + 1, std::less_equal<>())) return false;
    }
    rows_.push_back(row);
    return true;
  }

  std::size_t width_;
  std::map<double, double> stairs_;  // second objective -> least third one so far, strictly falling
  std::vector<const double*> rows_;
};

}  // namespace

std::vector<bool> pareto_front(std::span<const double> objectives, std::size_t width,
                               std::span<const std::uint32_t> groups) {
  RIDGE_INVARIANT(width > 0 && objectives.size() == groups.size() * width,
                  "objectives are rows of one width");
  const auto row = [&](std::size_t i) { return objectives.data() + i * width; };
  std::vector<std::size_t> order;
  order.reserve(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (std::none_of(row(i), row(i) + width, [](double x) { return std::isnan(x); })) {
      order.push_back(i);
    }
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (groups[a] != groups[b]) return groups[a] < groups[b];
    return std::lexicographical_compare(row(a), row(a) + width, row(b), row(b) + width);
  });
  std::vector<bool> on_front(groups.size(), false);
  Front front(width);
  for (std::size_t k = 0; k < order.size(); ++k) {
    const std::size_t i = order[k];
    const bool new_group = k == 0 || groups[order[k - 1]] != groups[i];
    if (new_group) front.clear();
    if (!new_group && std::equal(row(i), row(i) + width, row(order[k - 1]))) {
      on_front[i] = on_front[order[k - 1]];
    } else {
      on_front[i] = front.offer(row(i));
    }
  }
  return on_front;
}

}  // namespace ridge::sweep
