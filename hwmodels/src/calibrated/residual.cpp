#include "ridge/hwmodels/calibrated/residual.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace ridge::hw::calibrated {

// One bit for each level of each tree, four to a tree and sixteen trees to a word, the first level
// highest: a tree's four bits are the number of its leaf.
struct Residual::Compiled {
  static constexpr std::size_t kTreesPerWord = 64 / ResidualTree::kDepth;
  static constexpr std::size_t kMaxWords = kMaxTrees / kTreesPerWord;
  static constexpr std::size_t kLeaves = std::size_t{1} << ResidualTree::kDepth;

  // Of one feature: the thresholds that are asked for, rising, filled up to one less than a power
  // of two with what nothing exceeds; and the bits of the questions that are answered yes above the
  // first b of them, b = 0 ... all.
  struct Questions {
    std::size_t feature = 0;
    std::vector<double> thresholds;
    std::vector<std::uint64_t> answers;  // by b, then word

    // How many thresholds `value` exceeds: a search without a branch to guess.
    [[nodiscard]] std::size_t exceeded(double value) const {
      std::size_t below = 0;
      for (std::size_t step = (thresholds.size() + 1) / 2; step > 0; step /= 2) {
        below += value > thresholds[below + step - 1] ? step : 0;
      }
      return below;
    }
  };

  explicit Compiled(std::vector<ResidualTree> all)
      : trees(std::move(all)), words((trees.size() + kTreesPerWord - 1) / kTreesPerWord) {
    leaves.resize(words * kTreesPerWord * kLeaves, 0.0F);
    std::map<std::size_t, std::map<double, std::vector<std::size_t>>> bits;
    for (std::size_t t = 0; t < trees.size(); ++t) {
      std::copy(trees[t].leaf.begin(), trees[t].leaf.end(),
                leaves.begin() + static_cast<std::ptrdiff_t>(t * kLeaves));
      for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
        bits[trees[t].feature[level]][static_cast<double>(trees[t].threshold[level])].push_back(
            ResidualTree::kDepth * t + (ResidualTree::kDepth - 1 - level));
      }
    }
    for (const auto& [feature, by_threshold] : bits) {
      Questions& asked = questions.emplace_back();
      asked.feature = feature;
      std::vector<std::uint64_t> yes(words, 0);
      asked.answers = yes;
      for (const auto& [threshold, numbers] : by_threshold) {
        asked.thresholds.push_back(threshold);
        for (const std::size_t bit : numbers) yes[bit / 64] |= std::uint64_t{1} << (bit % 64);
        asked.answers.insert(asked.answers.end(), yes.begin(), yes.end());
      }
      asked.thresholds.resize(std::bit_ceil(asked.thresholds.size() + 1) - 1,
                              std::numeric_limits<double>::infinity());
    }
  }

  std::vector<ResidualTree> trees;
  std::size_t words;
  std::vector<float> leaves;  // by tree, zeros behind the last
  std::vector<Questions> questions;
};

Residual::Residual(std::vector<ResidualTree> trees) {
  RIDGE_INVARIANT(trees.size() <= kMaxTrees, "a residual has more trees than it may");
  if (!trees.empty()) compiled_ = std::make_shared<const Compiled>(std::move(trees));
}

std::span<const ResidualTree> Residual::trees() const {
  return empty() ? std::span<const ResidualTree>() : compiled_->trees;
}

Residual Residual::first(std::size_t count) const {
  const auto some = trees().first(std::min(count, trees().size()));
  return Residual({some.begin(), some.end()});
}

double Residual::operator()(std::span<const double> features) const {
  if (empty()) return 0.0;
  const Compiled& c = *compiled_;
  std::array<std::uint64_t, Compiled::kMaxWords> yes;
  std::fill_n(yes.begin(), c.words, 0);
  for (const Compiled::Questions& asked : c.questions) {
    const std::uint64_t* answers =
        &asked.answers[asked.exceeded(features[asked.feature]) * c.words];
    for (std::size_t w = 0; w < c.words; ++w) yes[w] |= answers[w];
  }
  // Four sums, since one would wait for each addition before the next.
  std::array<float, 4> sums{};
  const float* leaf = c.leaves.data();
  for (std::size_t w = 0; w < c.words; ++w) {
    std::uint64_t bits = yes[w];
    for (std::size_t t = 0; t < Compiled::kTreesPerWord; ++t) {
      sums[t % sums.size()] += leaf[bits % Compiled::kLeaves];
      bits /= Compiled::kLeaves;
      leaf += Compiled::kLeaves;
    }
  }
  return static_cast<double>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

namespace {

// Each feature's thresholds: midpoints between neighboring values, at most `bins` of them, spread
// evenly over the rows.
std::vector<std::vector<float>> thresholds_of(std::span<const double> features, std::size_t count,
                                              std::size_t bins) {
  const std::size_t rows = features.size() / count;
  std::vector<std::vector<float>> all(count);
  std::vector<double> values(rows);
  for (std::size_t f = 0; f < count; ++f) {
    for (std::size_t row = 0; row < rows; ++row) values[row] = features[row * count + f];
    std::sort(values.begin(), values.end());
    for (std::size_t b = 1; b <= bins; ++b) {
      const std::size_t at = b * (rows - 1) / (bins + 1);
      const auto next = std::upper_bound(values.begin(), values.end(), values[at]);
      if (next == values.end()) break;
      const auto middle = static_cast<float>(0.5 * (values[at] + *next));
      if (all[f].empty() || middle > all[f].back()) all[f].push_back(middle);
    }
  }
  return all;
}

class Booster {
 public:
  Booster(std::span<const double> features, std::size_t count, std::span<const double> target,
          const BoostOptions& options)
      : count_(count),
        rows_(target.size()),
        options_(options),
        thresholds_(thresholds_of(features, count, options.bins)),
        bin_(count * rows_),
        left_(rows_),
        pull_(rows_),
        node_(rows_) {
    // Neighbors among measurements share most of their bins, and a sum waits for the addition
    // before: far apart they do not.
    std::size_t step = std::max<std::size_t>(1, rows_ * 2 / 5);
    while (std::gcd(step, rows_) != 1) ++step;
    for (std::size_t row = 0; row < rows_; ++row) left_[row] = target[row * step % rows_];
    for (std::size_t f = 0; f < count; ++f) {
      for (std::size_t row = 0; row < rows_; ++row) {
        const auto& edges = thresholds_[f];
        const auto value = features[(row * step % rows_) * count + f];
        const auto above = std::partition_point(edges.begin(), edges.end(), [&](float edge) {
          return value > static_cast<double>(edge);
        });
        bin_[f * rows_ + row] = static_cast<std::uint8_t>(above - edges.begin());
      }
    }
  }

  Residual run() {
    std::vector<ResidualTree> trees;
    for (std::size_t t = 0; t < options_.trees; ++t) {
      for (std::size_t row = 0; row < rows_; ++row) {
        pull_[row] = std::clamp(left_[row], -options_.clip, options_.clip);
      }
      trees.push_back(grow());
    }
    return Residual(std::move(trees));
  }

 private:
  struct Sum {
    double pull = 0;
    double weight = 0;
  };

  ResidualTree grow() {
    ResidualTree tree;
    std::fill(node_.begin(), node_.end(), std::uint8_t{0});
    for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
      const auto [feature, edge] = best_question(std::size_t{1} << level);
      tree.feature[level] = static_cast<std::uint8_t>(feature);
      tree.threshold[level] = edge < thresholds_[feature].size()
                                  ? thresholds_[feature][edge]
                                  : std::numeric_limits<float>::max();
      const std::uint8_t* bins = &bin_[feature * rows_];
      for (std::size_t row = 0; row < rows_; ++row) {
        node_[row] = static_cast<std::uint8_t>(2 * node_[row] + (bins[row] > edge ? 1 : 0));
      }
    }
    std::array<Sum, std::size_t{1} << ResidualTree::kDepth> leaves{};
    for (std::size_t row = 0; row < rows_; ++row) {
      leaves[node_[row]].pull += pull_[row];
      leaves[node_[row]].weight += 1.0;
    }
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const double mean = leaves[i].pull / (leaves[i].weight + options_.least_weight);
      tree.leaf[i] = static_cast<float>(options_.rate * mean);
    }
    for (std::size_t row = 0; row < rows_; ++row) {
      left_[row] -= static_cast<double>(tree.leaf[node_[row]]);
    }
    return tree;
  }

  // The question that, asked of all nodes, explains most of what is left. No threshold at all where
  // none explains anything.
  std::pair<std::size_t, std::size_t> best_question(std::size_t nodes) {
    double most = -1.0;
    std::pair<std::size_t, std::size_t> best{0, thresholds_[0].size()};
    std::vector<Sum> sums;
    for (std::size_t f = 0; f < count_; ++f) {
      const std::size_t edges = thresholds_[f].size();
      if (edges == 0) continue;
      sums.assign(nodes * (edges + 1), {});
      const std::uint8_t* bins = &bin_[f * rows_];
      for (std::size_t row = 0; row < rows_; ++row) {
        Sum& sum = sums[node_[row] * (edges + 1) + bins[row]];
        sum.pull += pull_[row];
        sum.weight += 1.0;
      }
      for (std::size_t node = 0; node < nodes; ++node) {
        for (std::size_t b = 1; b <= edges; ++b) {
          Sum& here = sums[node * (edges + 1) + b];
          here.pull += sums[node * (edges + 1) + b - 1].pull;
          here.weight += sums[node * (edges + 1) + b - 1].weight;
        }
      }
      for (std::size_t edge = 0; edge < edges; ++edge) {
        double gain = 0.0;
        for (std::size_t node = 0; node < nodes; ++node) {
          const Sum& left = sums[node * (edges + 1) + edge];
          const Sum& all = sums[node * (edges + 1) + edges];
          const double right = all.pull - left.pull;
          gain += left.pull * left.pull / (left.weight + options_.least_weight) +
                  right * right / (all.weight - left.weight + options_.least_weight);
        }
        if (gain > most) {
          most = gain;
          best = {f, edge};
        }
      }
    }
    return best;
  }

  std::size_t count_;
  std::size_t rows_;
  BoostOptions options_;
  std::vector<std::vector<float>> thresholds_;
  std::vector<std::uint8_t> bin_;  // by feature, then row
  std::vector<double> left_;       // of the target
  std::vector<double> pull_;
  std::vector<std::uint8_t> node_;
};

}  // namespace

Residual boost(std::span<const double> features, std::size_t count, std::span<const double> target,
               const BoostOptions& options) {
  RIDGE_INVARIANT(count > 0 && features.size() == count * target.size(),
                  "every measurement has all features");
  RIDGE_INVARIANT(options.bins < 255, "a bin is a byte");
  if (target.empty()) return {};
  return Booster(features, count, target, options).run();
}

}  // namespace ridge::hw::calibrated
