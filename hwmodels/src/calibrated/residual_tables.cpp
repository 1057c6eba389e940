#include "residual_tables.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

namespace ridge::hw::calibrated {

namespace {

// Cells of a table of some of the trees; of the one table of all of them, where it has no more; and
// of all tables, which is what a number can say. Of fewer cells there are more tables to look up;
// of more, those of an operator's kernels leave the core's own cache.
constexpr std::uint32_t kMostOfSome = 2048;
constexpr std::uint32_t kMostOfAll = 16384;
constexpr std::size_t kMostCells = std::size_t{1} << 16U;

// From here on a threshold stands for no question: a tree that asks fewer has the largest float in
// their place, of which a file holds five digits.
constexpr double kNoQuestion = 3.4e38;
// A threshold that nothing exceeds.
constexpr double kNever = std::numeric_limits<double>::infinity();

}  // namespace

class ResidualTables::Builder {
 public:
  Builder(std::span<const ResidualTree> trees, ResidualTables& out) : trees_(trees), out_(out) {}

  void run() {
    place_thresholds();
    group();
    write();
  }

 private:
  // What a tree asks, as places of thresholds.
  struct Questions {
    std::array<std::size_t, ResidualTree::kDepth> by_level{};
    // The first `count` places, rising and each once, so that those of a feature stand together.
    std::array<std::uint16_t, ResidualTree::kDepth> distinct{};
    std::size_t count = 0;
    std::int64_t largest_leaf = 0;
  };

  // Trees taken together.
  struct Table {
    std::vector<std::size_t> trees;
    std::vector<std::uint8_t> asks;                   // 1 or 0, by place of a threshold
    std::array<std::uint32_t, kMaxFeatures> parts{};  // that a feature is cut into, by its place
    std::uint32_t cells = 1;
    std::int64_t largest_sum = 0;
  };

  // The thresholds of one feature, rising, and how many lie in each of its divisions.
  struct Asked {
    std::size_t feature = 0;
    std::vector<double> thresholds;
    Divisions<double> divisions;
    std::vector<std::size_t> held;

    [[nodiscard]] bool crowded() const {
      return std::any_of(held.begin(), held.end(), [](std::size_t count) { return count > 1; });
    }
  };

  [[nodiscard]] std::vector<Asked> thresholds_by_feature() const {
    std::array<std::vector<double>, kMaxFeatures> by_feature;
    for (const ResidualTree& tree : trees_) {
      for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
        by_feature[tree.feature[level]].push_back(static_cast<double>(tree.threshold[level]));
      }
    }
    std::vector<Asked> all;
    for (std::size_t f = 0; f < kMaxFeatures; ++f) {
      std::vector<double>& rising = by_feature[f];
      if (rising.empty()) continue;
      std::sort(rising.begin(), rising.end());
      rising.erase(std::unique(rising.begin(), rising.end()), rising.end());
      all.push_back({.feature = f, .thresholds = std::move(rising)});
    }
    return all;
  }

  // `begin`: where its divisions lie in `first_`.
  static void divide(Asked& of, std::size_t begin) {
    for (std::size_t divisions = kLeastDivisions; divisions <= kMostDivisions; divisions *= 2) {
      divide(of, begin, divisions);
      if (!of.crowded()) return;
    }
    divide(of, begin, kLeastDivisions);
  }

  static void divide(Asked& of, std::size_t begin, std::size_t divisions) {
    const auto last = std::find_if(of.thresholds.rbegin(), of.thresholds.rend() - 1,
                                   [](double threshold) { return threshold < kNoQuestion; });
    const double least = of.thresholds.front();
    const double width = *last - least;
    const double per_unit = width > 0.0 ? static_cast<double>(divisions - 1) / width : 1.0;
    of.divisions = {.per_unit = per_unit,
                    .offset = static_cast<double>(begin) - least * per_unit,
                    .low = static_cast<double>(begin),
                    .high = static_cast<double>(begin + divisions)};
    of.held.assign(divisions + 1, 0);  // the last for what stands for no question
    for (const double threshold : of.thresholds) {
      ++of.held[static_cast<std::size_t>(of.divisions.at(threshold)) - begin];
    }
  }

  void place_thresholds() {
    std::vector<Asked> all = thresholds_by_feature();
    out_.last_ = all.back().feature;
    out_.padded_ = (out_.last_ + 2) / 2 * 2;
    std::array<std::size_t, kMaxFeatures> place_of{};  // of a feature among those asked
    for (std::size_t i = 0; i < all.size(); ++i) {
      Asked& of = all[i];
      place_of[of.feature] = i;
      divide(of, out_.first_.size());
      if (of.crowded()) {
        out_.crowded_[out_.crowded_count_++] = static_cast<std::uint8_t>(of.feature);
      }
      set_divisions(of.feature, of.divisions);
      std::size_t place = out_.thresholds_.size();
      start_.push_back(place);
      for (const std::size_t held : of.held) {
        out_.first_.push_back(static_cast<std::uint16_t>(place));
        place += held;
      }
      out_.thresholds_.insert(out_.thresholds_.end(), of.thresholds.begin(), of.thresholds.end());
      out_.thresholds_.push_back(kNever);
      feature_at_.resize(out_.thresholds_.size(), static_cast<std::uint8_t>(i));
      rising_.push_back(of.thresholds);
    }
    // Features that nothing asks for add nothing: they have one division.
    const auto only = static_cast<double>(out_.first_.size());
    for (std::size_t f = 0; f < out_.padded_; ++f) {
      const bool asked =
          std::any_of(all.begin(), all.end(), [&](const Asked& of) { return of.feature == f; });
      if (!asked) set_divisions(f, {.low = only, .high = only});
    }
    out_.first_.push_back(static_cast<std::uint16_t>(out_.thresholds_.size()));
    out_.thresholds_.push_back(kNever);
    place_questions(place_of);
  }

  void set_divisions(std::size_t feature, const Divisions<double>& of) {
    Divisions<Pair>& by = out_.divisions_[feature / 2];
    by.per_unit[feature % 2] = of.per_unit;
    by.offset[feature % 2] = of.offset;
    by.low[feature % 2] = of.low;
    by.high[feature % 2] = of.high;
  }

  void place_questions(const std::array<std::size_t, kMaxFeatures>& place_of) {
    for (const ResidualTree& tree : trees_) {
      Questions& asks = questions_.emplace_back();
      for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
        const std::size_t i = place_of[tree.feature[level]];
        const auto at = std::lower_bound(rising_[i].begin(), rising_[i].end(),
                                         static_cast<double>(tree.threshold[level]));
        asks.by_level[level] = start_[i] + static_cast<std::size_t>(at - rising_[i].begin());
      }
      std::array<std::size_t, ResidualTree::kDepth> places = asks.by_level;
      std::sort(places.begin(), places.end());
      const auto end = std::unique(places.begin(), places.end());
      for (auto at = places.begin(); at != end; ++at) {
        asks.distinct[asks.count++] = static_cast<std::uint16_t>(*at);
      }
      for (const std::int16_t leaf : tree.leaf) {
        asks.largest_leaf = std::max(asks.largest_leaf, std::abs(std::int64_t{leaf}));
      }
    }
  }

  [[nodiscard]] Table empty_table() const {
    Table table;
    table.asks.resize(out_.thresholds_.size(), 0);
    table.parts.fill(1);
    return table;
  }

  // How many cells a table has with a tree more; any number above `most` where it has more.
  [[nodiscard]] std::uint32_t cells_with(const Table& table, std::size_t tree,
                                         std::uint32_t most) const {
    const Questions& asks = questions_[tree];
    std::uint32_t cells = table.cells;
    for (std::size_t q = 0; q < asks.count && cells <= most;) {
      const std::size_t i = feature_at_[asks.distinct[q]];
      std::uint32_t fresh = 0;
      for (; q < asks.count && feature_at_[asks.distinct[q]] == i; ++q) {
        fresh += 1U - table.asks[asks.distinct[q]];
      }
      if (fresh > 0) cells = cells / table.parts[i] * (table.parts[i] + fresh);
    }
    return cells;
  }

  // Any tree fits a table of none; of several, a cell must hold the sum.
  [[nodiscard]] bool fits(const Table& table, std::size_t tree, std::uint32_t most) const {
    return table.trees.empty() || (table.largest_sum + questions_[tree].largest_leaf <=
                                       std::numeric_limits<std::int16_t>::max() &&
                                   cells_with(table, tree, most) <= most);
  }

  void add(Table& table, std::size_t tree) const {
    table.cells = cells_with(table, tree, std::numeric_limits<std::uint32_t>::max());
    table.largest_sum += questions_[tree].largest_leaf;
    table.trees.push_back(tree);
    for (std::size_t q = 0; q < questions_[tree].count; ++q) {
      const std::size_t place = questions_[tree].distinct[q];
      table.parts[feature_at_[place]] += 1U - table.asks[place];
      table.asks[place] = 1;
    }
  }

  void group() {
    tables_.assign(1, empty_table());
    for (std::size_t t = 0; t < trees_.size() && fits(tables_[0], t, kMostOfAll); ++t) {
      add(tables_[0], t);
    }
    if (tables_[0].trees.size() == trees_.size()) return;
    for (std::uint32_t most = kMostOfSome;; most /= 2) {
      group_some(most);
      std::size_t cells = 1;
      for (const Table& table : tables_) cells += table.cells;
      if (cells <= kMostCells) return;
    }
  }

  // Each takes, of the trees that are left, the one that asks the least that is new to it.
  void group_some(std::uint32_t most) {
    tables_.clear();
    std::vector<std::size_t> left(trees_.size());
    std::iota(left.begin(), left.end(), std::size_t{0});
    while (!left.empty()) {
      Table& table = tables_.emplace_back(empty_table());
      for (auto best = left.end();; best = left.end()) {
        // Of the first tree any number of cells will do.
        std::uint32_t least =
            table.trees.empty() ? std::numeric_limits<std::uint32_t>::max() : most;
        for (auto tree = left.begin(); tree != left.end(); ++tree) {
          const std::uint32_t cells = cells_with(table, *tree, least);
          if (cells > least || (cells == least && best != left.end())) continue;
          if (!fits(table, *tree, least)) continue;
          least = cells;
          best = tree;
        }
        if (best == left.end()) break;
        add(table, *best);
        left.erase(best);
      }
    }
  }

  void write() {
    out_.words_ = (tables_.size() + kNumbersAtATime - 1) / kNumbersAtATime;
    out_.numbers_.assign(out_.thresholds_.size() * out_.words_, Numbers{});
    out_.cells_.assign(1, 0);
    for (std::size_t n = 0; n < tables_.size(); ++n) write(tables_[n], n);
  }

  // What is added to the n-th table's number where this is the first threshold not exceeded.
  void write_number(std::size_t n, std::size_t place, std::uint16_t number) {
    const std::size_t word = n / kNumbersAtATime;
    const std::size_t before = word / kMostWords * kMostWords;
    const std::size_t words = std::min(kMostWords, out_.words_ - before);  // side by side
    Numbers& to = out_.numbers_[out_.thresholds_.size() * before + place * words + word - before];
    to[n % kNumbersAtATime] = number;
  }

  // The n-th table: its cells lie behind those of the tables before, the first feature's parts
  // beside each other.
  void write(const Table& table, std::size_t n) {
    const std::size_t base = out_.cells_.size();
    std::size_t stride = 1;
    for (std::size_t i = 0; i < rising_.size(); ++i) {
      std::size_t part = 0;
      for (std::size_t place = start_[i]; place <= start_[i] + rising_[i].size(); ++place) {
        write_number(n, place, static_cast<std::uint16_t>(part * stride + (i == 0 ? base : 0)));
        part += table.asks[place];
      }
      stride *= table.parts[i];
    }
    out_.cells_.resize(base + table.cells, 0);
    for (const std::size_t t : table.trees) {
      const std::vector<std::uint8_t> leaf = leaves(table, t);
      for (std::size_t c = 0; c < table.cells; ++c) {
        std::int16_t& cell = out_.cells_[base + c];
        cell = static_cast<std::int16_t>(cell + trees_[t].leaf[leaf[c]]);
      }
    }
    out_.least_ += *std::min_element(out_.cells_.begin() + static_cast<std::ptrdiff_t>(base),
                                     out_.cells_.end());
  }

  // Which of a tree's leaves each cell of its table takes.
  [[nodiscard]] std::vector<std::uint8_t> leaves(const Table& table, std::size_t tree) const {
    std::vector<std::uint8_t> result(1, 0);
    for (std::size_t i = 0; i < rising_.size(); ++i) {
      if (table.parts[i] == 1) continue;
      // The answers of each part of this feature, beside those of the features before.
      const std::size_t before = result.size();
      result.resize(before * table.parts[i]);
      std::uint8_t* part = result.data();
      for (std::size_t place = start_[i]; place < start_[i] + rising_[i].size(); ++place) {
        if (table.asks[place] == 0) continue;
        std::uint8_t answers = 0;
        for (std::size_t level = 0; level < ResidualTree::kDepth; ++level) {
          const std::size_t asked = questions_[tree].by_level[level];
          const bool yes = feature_at_[asked] == i && asked <= place;
          answers = static_cast<std::uint8_t>(2 * answers + (yes ? 1 : 0));
        }
        part += before;
        for (std::size_t c = 0; c < before; ++c) {
          part[c] = static_cast<std::uint8_t>(result[c] | answers);
        }
      }
    }
    return result;
  }

  std::span<const ResidualTree> trees_;
  ResidualTables& out_;
  std::vector<std::vector<double>> rising_;  // thresholds, by place of the feature
  std::vector<std::size_t> start_;           // place of a feature's first threshold
  std::vector<std::uint8_t> feature_at_;     // place of a threshold's feature
  std::vector<Questions> questions_;         // by tree
  std::vector<Table> tables_;
};

ResidualTables::ResidualTables(std::span<const ResidualTree> trees) {
  Builder(trees, *this).run();
}

}  // namespace ridge::hw::calibrated
