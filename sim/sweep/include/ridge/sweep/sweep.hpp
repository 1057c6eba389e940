// Asks a sweep's question at all of its points.
#pragma once

#include "ridge/base/ranks.hpp"
#include "ridge/sweep/journal.hpp"
#include "ridge/sweep/sweep_scenario.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace ridge::sweep {

class SweepPlan;

struct SweepOptions {
  unsigned threads = 1;
  const std::atomic<bool>* stop = nullptr;  // raised by an interrupt; null where none can come
  // Told from any thread how many points more are answered, of how many.
  std::function<void(std::uint64_t more, std::uint64_t points)> progress{};
  // Where finished points are, and go. Null: nowhere but in memory.
  Journal* journal = nullptr;
  // Who else answers, one thread of each; wants a journal. Null: nobody.
  Ranks* ranks = nullptr;
};

// The user stopped the sweep.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

// The rows of neighboring points, as far as they passed the filters.
struct SweepChunk {
  std::uint64_t first = 0;             // the point at offset 0
  std::vector<std::uint32_t> offsets;  // rising
  std::span<const double> values;      // rows x columns; NaN where unknown
  std::vector<bool> pareto;            // by row; empty where no flags are wanted
};

class SweepResult {
 public:
  SweepResult(SweepScenario scenario, std::shared_ptr<LabelTable> labels,
              std::shared_ptr<scenario::Library> library);
  SweepResult(SweepResult&&) = default;
  SweepResult& operator=(SweepResult&&) = default;

  [[nodiscard]] const SweepScenario& scenario() const { return *scenario_; }
  [[nodiscard]] const SweepPlan& plan() const { return *plan_; }
  [[nodiscard]] const LabelTable& labels() const { return *labels_; }
  [[nodiscard]] std::uint64_t points() const;
  [[nodiscard]] std::uint64_t kept() const { return kept_; }
  [[nodiscard]] std::uint64_t invalid() const { return invalid_; }
  // In rising order of points. The same for any number of threads.
  [[nodiscard]] const std::vector<SweepChunk>& chunks() const { return chunks_; }
  // The values of all chunks, one after the other: kept() x columns.
  [[nodiscard]] std::span<const double> values() const { return values_; }
  // What an axis says at a point.
  [[nodiscard]] std::size_t position(std::uint64_t point, std::size_t axis) const;
  [[nodiscard]] const std::string& provenance() const;
  [[nodiscard]] const std::vector<std::string>& notes() const;
  [[nodiscard]] const std::vector<Bound>& bounds() const;

  // The subject of a reference, empty for the sweep itself.
  [[nodiscard]] const std::string& subject() const { return subject_; }
  // Each reference along the axes that do not reach into the subject. Filters do not apply to them;
  // a flag says that no point of the sweep beats them.
  [[nodiscard]] const std::vector<SweepResult>& references() const { return references_; }

 private:
  friend SweepResult run_sweep(SweepScenario scenario, const SweepOptions& options);
  friend class Parts;
  void evaluate(std::uint32_t part, const SweepOptions& options);
  void flag_front();
  void flag_references();

  // Behind pointers, so that the plan's view of them survives a move.
  std::shared_ptr<const SweepScenario> scenario_;
  std::shared_ptr<LabelTable> labels_;
  std::shared_ptr<scenario::Library> library_;
  std::shared_ptr<const SweepPlan> plan_;
  std::vector<SweepChunk> chunks_;
  std::vector<double> values_;
  std::uint64_t kept_ = 0;
  std::uint64_t invalid_ = 0;
  std::string subject_;
  std::vector<SweepResult> references_;
};

// Resolves documents, pointers and values, and looks whether points can be asked (the first hundred
// thousand of them), but answers none: throws UserError for what read_sweep() alone cannot see.
void check_sweep(const SweepScenario& scenario);

// Throws UserError for mistakes in the scenario, Interrupted after `options.stop`.
[[nodiscard]] SweepResult run_sweep(SweepScenario scenario, const SweepOptions& options);

// Asks the points of one shard, which go into the journal: run_sweep() with the journals of all
// shards gives the result. Throws as that does.
void run_shard(SweepScenario scenario, const SweepOptions& options, const Shard& shard);

// On the ranks beside 0, which runs the sweep or the shard: asks what that gives out.
void help_sweep(SweepScenario scenario, const SweepOptions& options);

}  // namespace ridge::sweep
