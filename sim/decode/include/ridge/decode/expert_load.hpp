// How many rows each expert-parallel rank gets: popularity of experts, and copies of the busy ones.
#pragma once

#include "ridge/base/random.hpp"
#include "ridge/models/ffn.hpp"

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

struct ExpertPopularity {
  enum class Kind : std::uint8_t { uniform, power_law, shares };
  Kind kind = Kind::uniform;
  double exponent = 0.0;       // power_law: the r-th expert is chosen in proportion to r^-exponent
  std::vector<double> shares;  // shares: of the choices, per expert
  // power_law: experts and copies lie where a balancer put them that knew the popularity of each up
  // to a factor with this standard deviation of its logarithm. Nothing: copies alone are placed,
  // by what is true.
  std::optional<double> balancer_error;
  // How many rows each expert gets: as the tokens at hand choose, at random by its popularity, or
  // the mean of that. What waits for the busiest rank takes longer than the mean says even where
  // experts are alike: of 128 ranks with 128 rows each on average the busiest has 157.
  enum class Counts : std::uint8_t { drawn, expected };
  Counts counts = Counts::drawn;
};

// What one rank sees in one layer.
struct RankLoad {
  double load = 1.0;  // rows over the mean of all ranks
  std::int64_t experts_held = 0;
  std::vector<std::uint32_t> experts;  // which they are
  std::vector<double> token_share;     // per held expert: of all tokens, those routed to it here

  // Held experts that get at least one of `tokens` tokens.
  [[nodiscard]] double active_experts(double tokens) const;
};

// What one rank gets of the tokens at hand.
struct RankRows {
  double rows = 0;
  double active = 0;  // held experts with at least one row
  friend bool operator==(const RankRows&, const RankRows&) = default;
};

// Loads of `ranks` ranks holding experts + redundant copies. Under uniform popularity every rank
// has load 1 where none has a copy; copies of alike experts leave some ranks busier than others.
// Otherwise which experts are popular is drawn anew for each (seed, layer); copies go to the
// busiest experts, and copies are placed on the ranks with the least load so far, as serving
// systems balance them. Each rank holds the same number of copies; throws UserError if they do not
// divide, or if fewer experts are ever chosen than a token chooses.
[[nodiscard]] std::vector<RankLoad> rank_loads(const models::MoeFfn& ffn,
                                               const ExpertPopularity& popularity,
                                               std::int64_t ranks, std::int64_t redundant,
                                               std::uint64_t seed, std::uint64_t layer);

// The chance that a token, which chooses `top_k` different ones of `experts` experts, chooses any
// of those that hold this share of all choices.
[[nodiscard]] double reach(double share, std::int64_t top_k, std::int64_t experts);

// Draws how many of the tokens choose each expert, each token `top_k` different ones, and so what
// each rank gets. The sum over all ranks is exact; the numbers have the mean, variance and skew of
// independent choices.
class RowDraw {
 public:
  // `remembers`: takes some MB to be quicker where it is asked again and again.
  RowDraw(std::span<const RankLoad> ranks, const models::MoeFfn& ffn, bool remembers = false);
  ~RowDraw();
  void draw(std::int64_t tokens, Random& random, std::span<RankRows> out);

  [[nodiscard]] std::size_t experts() const { return rows_.size(); }
  // The two halves of that. Of each expert, by its number:
  [[nodiscard]] std::span<const std::int64_t> draw_experts(std::int64_t tokens, Random& random);
  // Of each rank, what that is:
  template <typename Rows>
  void spread(std::span<const Rows> of_expert, std::span<RankRows> out) {
    std::fill(next_.begin(), next_.end(), 0);
    for (std::size_t r = 0; r < held_.size(); ++r) {
      RankRows rank;
      for (const std::uint32_t e : held_[r]) {
        // Copies of one expert take turns.
        const std::int64_t copy = next_[e]++;
        const auto all = static_cast<std::int64_t>(of_expert[e]);
        const std::int64_t rows =
            copies_[e] == 1 ? all : (all + copies_[e] - 1 - copy) / copies_[e];
        rank.rows += static_cast<double>(rows);
        rank.active += rows > 0 ? 1.0 : 0.0;
      }
      out[r] = rank;
    }
  }

 private:
  // An expert and what it takes of the choices that those before it leave.
  struct Chosen {
    std::uint32_t expert = 0;
    double part = 1.0;      // mean
    double left = 0.0;      // 1 - part
    double narrowed = 1.0;  // of the variance, since a token's choices exclude each other
  };
  struct Few;
  [[nodiscard]] std::int64_t draw_few(std::size_t place, std::int64_t left, double mean,
                                      double variance, double uniform);

  bool remembers_;
  std::vector<Chosen> order_;                     // the most popular first
  std::vector<Few> few_;                          // what was asked before, of each of those
  std::vector<std::int64_t> copies_;              // per expert
  std::vector<std::int64_t> rows_;                // per expert
  std::vector<std::int64_t> next_;                // per expert: copies that have got their rows
  std::vector<std::vector<std::uint32_t>> held_;  // per rank
  std::int64_t top_k_;
};

// What was drawn for the first micro-batches after a seed, all of as many requests, so that those
// who would draw the same need not. May be asked from any thread; forgets when it is full.
class DrawnRows {
 public:
  // Nothing else decides what is drawn.
  struct Question {
    double requests = 0;
    std::uint64_t seed = 0;
    std::vector<std::int64_t> layers;  // what tells their draws apart
    friend auto operator<=>(const Question&, const Question&) = default;
  };
  struct MicroBatch {
    std::vector<std::uint16_t> rows;  // of each expert, layer by layer
    Random after{0};
  };

  // Null where it is not known.
  [[nodiscard]] std::shared_ptr<const MicroBatch> find(const Question& question,
                                                       std::size_t micro_batch) const;
  void keep(const Question& question, std::size_t micro_batch,
            std::shared_ptr<const MicroBatch> drawn);

 private:
  mutable std::mutex mutex_;
  std::map<Question, std::vector<std::shared_ptr<const MicroBatch>>> known_;
  std::size_t bytes_ = 0;
};

}  // namespace ridge::decode
