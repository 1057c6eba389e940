#include "ridge/hwmodels/calibrated/residual.hpp"

#include "residual_tables.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

namespace ridge::hw::calibrated {

namespace {

// exp() of most sums of leaves, which are whole numbers: looked up, it costs a tenth.
class Factors {
 public:
  Factors() {
    for (std::int32_t sum = -kMost; sum <= kMost; ++sum) of_sum_[place(sum)] = computed(sum);
  }

  [[nodiscard]] double operator()(std::int32_t sum) const {
    return sum >= -kMost && sum <= kMost ? of_sum_[place(sum)] : computed(sum);
  }

 private:
  static constexpr std::int32_t kMost = 2048;
  static std::size_t place(std::int32_t sum) { return static_cast<std::size_t>(sum + kMost); }
  static double computed(std::int32_t sum) { return std::exp(ResidualTree::kLeafUnit * sum); }

  std::array<double, 2 * kMost + 1> of_sum_;
};

const Factors& factors() {
  static const Factors kFactors;
  return kFactors;
}

}  // namespace

struct Residual::Compiled {
  explicit Compiled(std::vector<ResidualTree> all) : trees(std::move(all)), tables(trees) {
    constexpr double kRounding = 1e-12;
    least_factor =
        std::exp(ResidualTree::kLeafUnit * std::min(0, tables.least())) * (1.0 - kRounding);
  }

  std::vector<ResidualTree> trees;
  ResidualTables tables;
  const Factors& factor = factors();
  double least_factor = 1.0;
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
  return empty() ? 0.0 : ResidualTree::kLeafUnit * compiled_->tables(features);
}

double Residual::factor(std::span<const double> features) const {
  return empty() ? 1.0 : compiled_->factor(compiled_->tables(features));
}

double Residual::least_factor() const {
  return empty() ? 1.0 : compiled_->least_factor;
}

std::size_t Residual::crowded() const {
  return empty() ? 0 : compiled_->tables.crowded();
}

namespace {

// Each feature's thresholds: midpoints between neighboring values, at most `bins` of them, spread
// evenly over the rows. Where all of a feature's are no more, as finely as `least` rows, so that
// those of a rare value are told apart, too, where they are enough to say something.
std::vector<std::vector<float>> thresholds_of(std::span<const double> features, std::size_t count,
                                              std::size_t bins, double least) {
  const std::size_t rows = features.size() / count;
  const auto finely = static_cast<std::size_t>(static_cast<double>(rows) / std::max(1.0, least));
  std::vector<std::vector<float>> all(count);
  std::vector<double> values(rows);
  std::vector<double> distinct;
  for (std::size_t f = 0; f < count; ++f) {
    for (std::size_t row = 0; row < rows; ++row) values[row] = features[row * count + f];
    std::sort(values.begin(), values.end());
    distinct.clear();
    std::unique_copy(values.begin(), values.end(), std::back_inserter(distinct));
    const bool few = distinct.size() <= bins + 1;
    const std::size_t parts = few ? std::max(bins + 1, finely) : bins + 1;
    for (std::size_t part = 1; part < parts; ++part) {
      const double value = values[part * (rows - 1) / parts];
      const auto next = std::upper_bound(distinct.begin(), distinct.end(), value);
      if (next == distinct.end()) break;
      const auto middle = static_cast<float>(0.5 * (value + *next));
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
        thresholds_(thresholds_of(features, count, options.bins, options.least_weight)),
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
