#include "ridge/hwmodels/calibrated/residual.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace ridge::hw::calibrated {

// One bit for each level of each tree, as many trees to a word as fit, the first level highest: a
// tree's bits are the number of its leaf.
struct Residual::Compiled {
  static constexpr std::size_t kTreesPerWord = 64 / ResidualTree::kDepth;

  // Of one feature: the thresholds that are asked for, rising, and the bits of the questions that
  // are answered yes above the first b of them, b = 0 ... all.
  struct Questions {
    static constexpr std::size_t kMostCells = 1024;

    std::size_t feature = 0;
    std::vector<double> thresholds;      // and, behind the last, what nothing exceeds
    std::vector<std::uint64_t> answers;  // by b, then word
    // Between the thresholds, cells of one width: the first threshold in each or behind it, and the
    // most that one cell holds. What lies in a cell exceeds all thresholds of those before it.
    double from = 0;
    double cells_per_unit = 0;
    std::vector<std::uint16_t> first;
    std::size_t most_in_cell = 0;

    [[nodiscard]] std::size_t cell(double value) const {
      const double at = (value - from) * cells_per_unit;
      const auto last = static_cast<double>(first.size() - 1);
      return static_cast<std::size_t>(
          static_cast<std::int64_t>(at > 0.0 ? std::min(at, last) : 0.0));
    }

    // How many thresholds `value` exceeds, without a branch to guess.
    [[nodiscard]] std::size_t exceeded(double value) const {
      const std::size_t before = first[cell(value)];
      std::size_t here = 0;
      for (std::size_t i = 0; i < most_in_cell; ++i) here += value > thresholds[before + i] ? 1 : 0;
      return before + here;
    }

    // The fewest cells of which none holds more than one threshold, or the most there may be.
    void divide() {
      const std::size_t count = thresholds.size();
      from = thresholds.front();
      // The largest float stands for no question at all.
      const auto last = std::find_if(thresholds.rbegin(), thresholds.rend() - 1, [](double t) {
        return t < static_cast<double>(std::numeric_limits<float>::max());
      });
      const double width = *last - from;
      for (std::size_t cells = 16; cells <= kMostCells; cells *= 2) {
        cells_per_unit = width > 0.0 ? static_cast<double>(cells - 1) / width : 0.0;
        first.assign(cells, 0);
        std::vector<std::size_t> held(cells, 0);
        for (const double threshold : thresholds) ++held[cell(threshold)];
        std::size_t before = 0;
        for (std::size_t c = 0; c < cells; ++c) {
          first[c] = static_cast<std::uint16_t>(before);
          before += held[c];
        }
        most_in_cell = *std::max_element(held.begin(), held.end());
        if (most_in_cell <= 1) break;
      }
      thresholds.resize(count + most_in_cell, std::numeric_limits<double>::infinity());
    }
  };

  explicit Compiled(std::vector<ResidualTree> all)
      : trees(std::move(all)), words((trees.size() + kTreesPerWord - 1) / kTreesPerWord) {
    leaves.resize(words * kTreesPerWord * ResidualTree::kLeaves, 0);
    std::map<std::size_t, std::map<double, std::vector<std::size_t>>> bits;
    for (std::size_t t = 0; t < trees.size(); ++t) {
      std::copy(trees[t].leaf.begin(), trees[t].leaf.end(),
                leaves.begin() + static_cast<std::ptrdiff_t>(t * ResidualTree::kLeaves));
      const std::size_t lowest =
          64 * (t / kTreesPerWord) + ResidualTree::kDepth * (t % kTreesPerWord);
      for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
        const auto threshold = static_cast<double>(trees[t].threshold[level]);
        bits[trees[t].feature[level]][threshold].push_back(lowest + ResidualTree::kDepth - 1 -
                                                           level);
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
      asked.divide();
    }
  }

  std::vector<ResidualTree> trees;
  std::size_t words;
  std::vector<std::int32_t> leaves;  // by tree, zeros behind the last
  std::vector<Questions> questions;
};

Residual::Residual(std::vector<ResidualTree> trees) {
  RIDGE_INVARIANT(trees.size() <= kMaxTrees, "a residual has more trees than it may");
  RIDGE_INVARIANT(std::all_of(trees.begin(), trees.end(),
                              [](const ResidualTree& tree) {
                                return std::all_of(tree.feature.begin(), tree.feature.end(),
                                                   [](std::size_t f) { return f < kMaxFeatures; });
                              }),
                  "a residual has more features than it may");
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
  std::array<const std::uint64_t*, kMaxFeatures> rows;
  std::size_t asked = 0;
  for (const Compiled::Questions& q : c.questions) {
    rows[asked++] = &q.answers[q.exceeded(features[q.feature]) * c.words];
  }
  std::int32_t sum = 0;
  const std::int32_t* leaf = c.leaves.data();
  for (std::size_t w = 0; w < c.words; ++w) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < asked; ++i) bits |= rows[i][w];
    for (std::size_t t = 0; t < Compiled::kTreesPerWord; ++t) {
      sum += leaf[bits % ResidualTree::kLeaves];
      bits /= ResidualTree::kLeaves;
      leaf += ResidualTree::kLeaves;
    }
  }
  return ResidualTree::kLeafUnit * sum;
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
        random_(options.seed),
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
      const auto [feature, edge] =
          level < options_.depth ? best_question(std::size_t{1} << level) : no_question();
      tree.feature[level] = static_cast<std::uint8_t>(feature);
      tree.threshold[level] = edge < thresholds_[feature].size()
                                  ? thresholds_[feature][edge]
                                  : std::numeric_limits<float>::max();
      const std::uint8_t* bins = &bin_[feature * rows_];
      for (std::size_t row = 0; row < rows_; ++row) {
        node_[row] = static_cast<std::uint8_t>(2 * node_[row] + (bins[row] > edge ? 1 : 0));
      }
    }
    std::array<Sum, ResidualTree::kLeaves> leaves{};
    for (std::size_t row = 0; row < rows_; ++row) {
      leaves[node_[row]].pull += pull_[row];
      leaves[node_[row]].weight += 1.0;
    }
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const double mean = leaves[i].pull / (leaves[i].weight + options_.least_weight);
      tree.leaf[i] =
          static_cast<std::int16_t>(std::lround(options_.rate * mean / ResidualTree::kLeafUnit));
    }
    for (std::size_t row = 0; row < rows_; ++row) {
      left_[row] -= ResidualTree::kLeafUnit * tree.leaf[node_[row]];
    }
    return tree;
  }

  // A threshold that nothing exceeds.
  [[nodiscard]] std::pair<std::size_t, std::size_t> no_question() const {
    return {0, thresholds_[0].size()};
  }

  // The question that, asked of all nodes, explains most of what is left, as far as the doubt in
  // each lets it be told. No threshold at all where none explains anything.
  std::pair<std::size_t, std::size_t> best_question(std::size_t nodes) {
    double most = -std::numeric_limits<double>::infinity();
    std::pair<std::size_t, std::size_t> best = no_question();
    std::vector<Sum> sums;
    const double explained = explained_by(nodes);
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
        // As if the question were found worth more or less.
        const double found = options_.doubt * (2.0 * random_.uniform() - 1.0);
        gain = (gain - explained) * (1.0 + found);
        if (gain > most) {
          most = gain;
          best = {f, edge};
        }
      }
    }
    return best;
  }

  // What the questions asked so far explain.
  [[nodiscard]] double explained_by(std::size_t nodes) const {
    std::vector<Sum> sums(nodes);
    for (std::size_t row = 0; row < rows_; ++row) {
      sums[node_[row]].pull += pull_[row];
      sums[node_[row]].weight += 1.0;
    }
    double gain = 0.0;
    for (const Sum& sum : sums) gain += sum.pull * sum.pull / (sum.weight + options_.least_weight);
    return gain;
  }

  std::size_t count_;
  std::size_t rows_;
  BoostOptions options_;
  Random random_;
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
  RIDGE_INVARIANT(options.rate * options.clip < 3.0, "a leaf is two bytes");
  if (target.empty()) return {};
  return Booster(features, count, target, options).run();
}

}  // namespace ridge::hw::calibrated
