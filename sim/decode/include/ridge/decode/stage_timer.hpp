// How long each work of a step graph takes for the batch at hand, from the operators it launches.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"
#include "ridge/decode/expert_load.hpp"
#include "ridge/decode/step_graph.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ridge::decode {

// The requests of one group (GPUs that share a cache) in one micro-batch.
struct GroupBatch {
  std::int64_t requests = 0;
  std::int64_t cached_tokens = 0;  // of all its requests
  std::int64_t longest = 0;        // cached tokens of the longest
  friend bool operator==(const GroupBatch&, const GroupBatch&) = default;
};

// Whether a piece launches the operator at a place of those of the whole, which are in launch order
// and have parts and purposes.
template <typename Operators>
[[nodiscard]] bool launches(AttentionPiece piece, const Operators& whole, std::size_t place) {
  if (piece == AttentionPiece::whole) return true;
  if (piece != AttentionPiece::projections && piece != AttentionPiece::cache) return false;
  bool behind = false;
  for (std::size_t i = 0; i <= place; ++i) {
    behind = behind || whole[i].part == models::Part::attention;
  }
  return behind == (piece == AttentionPiece::cache);
}
template <typename Operators>
[[nodiscard]] bool launches(FfnPiece piece, const Operators& whole, std::size_t place) {
  const bool shared = whole[place].purpose == models::Purpose::shared_experts;
  return piece == FfnPiece::whole || shared == (piece == FfnPiece::shared);
}

// A GPU that is slower than its kind: its kernels take `factor` times as long.
struct SlowGpu {
  std::uint32_t pool = 0;
  std::uint32_t instance = 0;
  std::uint32_t gpu = 0;
  double factor = 1.0;
};

// The times of one step. Ranks are the GPUs of an instance, or its attention groups.
struct StepTimes {
  std::vector<double> rank_seconds;   // of work w: [first_rank(w), first_rank(w + 1))
  std::vector<des::SimTime> slowest;  // per work: what it takes without jitter
  std::vector<double> rank_sum;       // per work: seconds, over its ranks
  std::vector<double> payload_bytes;  // per work: of a message, whole instances
};

// What the slowest GPU of a work launches, one after the other. Sums over GPUs and exchanges that
// the work waits for besides are the rest of its time.
struct Launches {
  struct Launch {
    models::Operator op;
    hw::Timing timing;
  };
  std::vector<Launch> kernels;
  Seconds time;  // of the kernels
};

class StageTimer {
 public:
  // The deployment and the graph must outlive the timer. `drawn`: where others that draw alike
  // leave and find what they drew; null for nowhere.
  StageTimer(const Deployment& deployment, const StepGraph& graph,
             const ExpertPopularity& popularity, std::vector<SlowGpu> slow_gpus, std::uint64_t seed,
             std::shared_ptr<DrawnRows> drawn = {});

  // groups: the batches of a replica's groups, instance by instance. Where rows are drawn, each
  // call draws anew.
  void time(std::span<const GroupBatch> groups, StepTimes& times);
  // The same, and of each work, by its number, what it launches: nothing on links.
  [[nodiscard]] std::vector<Launches> launches(std::span<const GroupBatch> groups,
                                               StepTimes& times);
  // Draws as a timer of this seed that has not drawn yet, where experts are alike.
  void restart(std::uint64_t seed);

  [[nodiscard]] std::span<const double> ranks(const StepTimes& times, WorkId work) const {
    return {times.rank_seconds.data() + first_rank_[work],
            first_rank_[work + 1] - first_rank_[work]};
  }
  [[nodiscard]] std::size_t ranks(WorkId work) const {
    return first_rank_[work + 1] - first_rank_[work];
  }
  // A message between instances on idle links.
  [[nodiscard]] Seconds message_time(const Message& message, double payload_bytes) const;

 private:
  // The requests of a micro-batch, as stages ask for them.
  struct Batch {
    std::span<const GroupBatch> groups;
    double requests = 0;          // of all groups
    double rows = 0;              // likewise, with those that pad them
    double busiest = 0;           // of the group with most
    std::size_t groups_each = 1;  // groups per instance
    [[nodiscard]] double requests_of(std::uint32_t instance) const;
  };
  // The requests of a group and those that pad them.
  [[nodiscard]] double rows_of(const GroupBatch& group) const {
    return deployment_.execution.padded(static_cast<double>(group.requests));
  }
  // A MoE layer, whose experts are spread over the ranks in a way of its own.
  struct Layer {
    std::uint32_t block = 0;
    std::uint32_t queries = 1;
    bool moe = false;
    std::vector<RankLoad> loads;    // per expert-parallel rank
    std::shared_ptr<RowDraw> draw;  // where rows are drawn; layers that are alike share one
    std::vector<RankRows> rows;     // per rank, of the batch at hand
    double busiest_expected = 1.0;  // of the loads
  };

  void count_rows(const Batch& batch);
  void draw_rows(double requests);
  void time_work(const AttentionWork& work, const Batch& batch, std::span<double> ranks);
  void time_work(const FfnWork& work, const Batch& batch, std::span<double> ranks);
  void time_work(const HeadWork& work, const Batch& batch, std::span<double> ranks);
  void time_work(const Collective& work, const Batch& batch, std::span<double> ranks);
  void time_work(const Exchange& work, const Batch& batch, std::span<double> ranks);
  void time_work(const PeerExchange& work, const Batch& batch, std::span<double> ranks);
  [[nodiscard]] double by_nics(const Pool& pool, double ranks) const;
  // Embeddings and logits of this many rows.
  [[nodiscard]] Seconds vocabulary_exchange(const Pool& pool, double rows) const;
  // Of an attention whose operators are in scratch_.
  [[nodiscard]] Seconds context_exchange(const Pool& pool, double tokens) const;
  [[nodiscard]] Seconds collective_time(const Pool& pool, Collective::Pattern pattern,
                                        std::uint32_t ranks, double bytes) const;
  [[nodiscard]] Seconds all_to_all_time(const Pool& pool, std::uint32_t ranks, double bytes,
                                        bool returning = false) const;
  [[nodiscard]] double routed_share(const std::optional<RoutedShare>& routed) const;
  // Of one of the operators at hand.
  [[nodiscard]] hw::Timing timing(const hw::KernelModel& kernels, std::size_t place);
  // Whether the residual was added up over GPUs in front of a stage, and in front of the norm after
  // it.
  struct SumsOfResidual {
    bool before = false;
    bool after = false;
  };
  // Of the operators at hand, and of a piece of a stage.
  template <typename Piece>
  [[nodiscard]] Seconds total(const Pool& pool, SumsOfResidual sums, Piece piece);
  using ExchangeKernels = Execution::ExchangeKernels;
  [[nodiscard]] Seconds exchange_kernels(const AttentionWork& work, const Batch& batch) const;
  [[nodiscard]] Seconds on_gpu(Seconds ExchangeKernels::*part, const Batch& batch,
                               std::uint32_t queries) const;
  [[nodiscard]] Seconds exchange_time(const Exchange& work, const Batch& batch);

  const Deployment& deployment_;
  const StepGraph& graph_;
  bool exchanges_ = false;  // between tokens and experts over all GPUs
  Seconds waiting_for_hosts_;
  std::vector<SlowGpu> slow_gpus_;
  std::vector<Layer> layers_;  // as FfnWork numbers them
  Random choices_;             // of experts
  // Where what is drawn may be shared: with whom, and what of, as long as all is of as many
  // requests.
  std::shared_ptr<DrawnRows> drawn_;
  DrawnRows::Question question_;
  std::size_t draws_ = 0;  // micro-batches since the seed
  bool alike_ = true;
  std::vector<std::size_t> first_rank_;
  models::OperatorList scratch_;
  // What was answered last at each place of that: most ranks ask the same of what is not routed.
  struct Answered {
    const hw::KernelModel* kernels = nullptr;
    std::string_view name;
    models::Gemm gemm;
    hw::Timing timing;
  };
  std::vector<Answered> answered_;
  // What FFN ranks with the same rows take. Micro-batches, layers and batches share most of them.
  struct RankTime {
    std::uint32_t block = 0;
    std::uint32_t pool = 0;
    double tokens = 0;
    double own = 0;
    RankRows rows;
    FfnPiece piece = FfnPiece::whole;
    friend bool operator==(const RankTime&, const RankTime&) = default;
  };
  struct RankTimeHash {
    std::size_t operator()(const RankTime& key) const;
  };
  std::unordered_map<RankTime, double, RankTimeHash> rank_times_;
  std::vector<double> own_;  // scratch of exchanges: copies that each rank sends
  // Where launches are asked for: of each work, and of the one at hand.
  std::vector<Launches>* launches_ = nullptr;
  Launches* watched_ = nullptr;
};

}  // namespace ridge::decode
