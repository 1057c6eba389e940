#include "ridge/sweep/sweep.hpp"

#include "ridge/base/parallel.hpp"
#include "ridge/sweep/pareto.hpp"
#include "sweep_plan.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using Json = nlohmann::json;

// Rows are held in memory until the front is known: 1.9 GB.
constexpr std::uint64_t kMaxKeptValues = 240000000;

bool passes(const std::vector<Filter>& filters, std::span<const double> row) {
  return std::all_of(filters.begin(), filters.end(), [&](const Filter& filter) {
    const double value = row[filter.column];
    return value >= filter.min && value <= filter.max;  // no NaN does
  });
}

// The objectives of rows, lower is better.
void append_objectives(const ParetoRequest& request, std::span<const double> row,
                       std::vector<double>& out) {
  for (const Objective& objective : request.objectives) {
    const double value = row[objective.column];
    out.push_back(objective.maximize ? -value : value);
  }
}

// The axis values that tell one group of comparable rows from another.
std::string group_name(const SweepResult& result, const std::vector<std::size_t>& axes,
                       std::uint64_t point) {
  std::string name;
  for (const std::size_t a : axes) {
    const Axis& axis = result.scenario().axes[a];
    const std::size_t position = result.position(point, a);
    for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
      name += fmt::format("{}={};", axis.pointers[p], text_of(axis.at(position, p)));
    }
  }
  return name;
}

// Numbers the groups by the positions of their axes; zipped axes, which have a name per position,
// by that name.
class Groups {
 public:
  explicit Groups(const SweepResult& result) : result_(result) {
    const SweepScenario& scenario = result.scenario();
    if (scenario.combine != SweepScenario::Combine::zip || scenario.pareto.within.empty()) return;
    std::map<std::string, std::uint32_t> numbers;
    for (std::uint64_t point = 0; point < result.points(); ++point) {
      const auto number = static_cast<std::uint32_t>(numbers.size());
      const auto name = group_name(result, scenario.pareto.within, point);
      by_position_.push_back(numbers.emplace(name, number).first->second);
    }
  }

  [[nodiscard]] std::uint32_t of(std::uint64_t point) const {
    if (!by_position_.empty()) return by_position_[point];
    std::size_t number = 0;
    for (const std::size_t a : result_.scenario().pareto.within) {
      number = number * result_.scenario().axes[a].length + result_.position(point, a);
    }
    return static_cast<std::uint32_t>(number);
  }

 private:
  const SweepResult& result_;
  std::vector<std::uint32_t> by_position_;
};

// "query_heads = 3, kv_heads = 2"
std::string point_words(const SweepResult& result, std::uint64_t point) {
  std::vector<std::string> parts;
  const auto& axes = result.scenario().axes;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    for (std::size_t p = 0; p < axes[a].pointers.size(); ++p) {
      parts.push_back(fmt::format("{} = {}", axes[a].pointers[p],
                                  text_of(axes[a].at(result.position(point, a), p))));
    }
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

struct InvalidPoint {
  std::uint64_t point;
  std::string problem;
};

// What one chunk has to say beside its rows, and their values, which the result takes.
struct ChunkReport {
  std::vector<double> values;
  std::uint64_t invalid = 0;
  std::vector<InvalidPoint> first_invalid;
};

constexpr std::size_t kToldInvalidPoints = 5;

// One thread's way through chunks.
class ChunkWorker {
 public:
  ChunkWorker(const SweepResult& result, const Groups& groups, const std::atomic<bool>* stop)
      : result_(result), groups_(groups), cursor_(result.plan(), stop) {}

  void run(std::uint64_t begin, std::uint64_t end, SweepChunk& out, ChunkReport& report) {
    const SweepScenario& scenario = result_.scenario();
    const std::size_t width = scenario.columns.size();
    offsets_.clear();
    values_.resize((end - begin) * width);
    std::size_t used = 0;
    for (std::uint64_t point = begin; point < end; ++point) {
      cursor_.move_to(point);
      if (std::string problem = cursor_.evaluator().problem(); !problem.empty()) {
        ++report.invalid;
        if (report.first_invalid.size() < kToldInvalidPoints) {
          report.first_invalid.push_back({point, std::move(problem)});
        }
        continue;
      }
      const std::span<double> row(values_.data() + used, width);
      cursor_.evaluator().evaluate(row);
      if (!passes(scenario.filters, row)) continue;
      offsets_.push_back(static_cast<std::uint32_t>(point - begin));
      used += width;
    }
    out.first = begin;
    out.offsets = offsets_;
    report.values.assign(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(used));
    out.values = report.values;
    if (!scenario.pareto.objectives.empty()) flag(out);
  }

 private:
  // A row that its own chunk beats is on no front, so that only few are left to compare at the end.
  void flag(SweepChunk& chunk) {
    const SweepScenario& scenario = result_.scenario();
    const std::size_t width = scenario.columns.size();
    objectives_.clear();
    row_groups_.clear();
    for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
      append_objectives(scenario.pareto, {chunk.values.data() + row * width, width}, objectives_);
      row_groups_.push_back(groups_.of(chunk.first + chunk.offsets[row]));
    }
    chunk.pareto = pareto_front(objectives_, scenario.pareto.objectives.size(), row_groups_);
  }

  const SweepResult& result_;
  const Groups& groups_;
  SweepCursor cursor_;
  std::vector<std::uint32_t> offsets_;
  std::vector<double> values_;
  std::vector<double> objectives_;
  std::vector<std::uint32_t> row_groups_;
};

// Throws where the scenario takes no invalid points and there are some, or there are no others.
void refuse_invalid(const SweepResult& result, const std::vector<ChunkReport>& reports,
                    std::uint64_t points) {
  std::uint64_t refused = 0;
  for (const ChunkReport& report : reports) refused += report.invalid;
  const bool skip = result.scenario().invalid_points == SweepScenario::InvalidPoints::skip;
  if (refused == 0 || (skip && refused < points)) return;
  std::string words;
  std::size_t told = 0;
  for (const ChunkReport& report : reports) {
    for (const InvalidPoint& invalid : report.first_invalid) {
      if (told == kToldInvalidPoints) break;
      ++told;
      words += fmt::format("\n  {}: {}", point_words(result, invalid.point), invalid.problem);
    }
  }
  if (skip) {
    throw UserError(fmt::format("{}: all {} points are invalid. The first:{}",
                                result.scenario().document.name(), points, words));
  }
  throw UserError(fmt::format(
      "{}: {} of {} points are invalid; \"invalid_points\": \"skip\" leaves such points out. The "
      "first:{}",
      result.scenario().document.name(), refused, points, words));
}

// The scenario along the axes that do not reach into the subject, with `reference` in its place.
SweepScenario reference_scenario(const SweepScenario& scenario, const std::string& reference) {
  const std::string subject(scenario.kind->subject());
  SweepScenario out = scenario;
  Json json = scenario.document.json();
  json["base"][Json::json_pointer(subject)] = reference;
  out.document = JsonDocument(scenario.document.name(), std::move(json));
  out.references.clear();
  out.filters.clear();
  out.pareto = {};
  out.axes.clear();
  for (const Axis& axis : scenario.axes) {
    const bool inside = std::any_of(axis.pointers.begin(), axis.pointers.end(), [&](const auto& p) {
      return p == subject || p.starts_with(subject + "/");
    });
    if (!inside) out.axes.push_back(axis);
  }
  if (scenario.combine == SweepScenario::Combine::zip) {
    // Positions that differed in the subject alone are now the same.
    std::vector<std::vector<AxisValue>> values(out.axes.size());
    std::set<std::string> seen;
    std::size_t length = 0;
    for (std::size_t i = 0; !out.axes.empty() && i < out.axes.front().length; ++i) {
      std::string key;
      for (const Axis& axis : out.axes) {
        for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
          key += text_of(axis.at(i, p)) + '\n';
        }
      }
      if (!seen.insert(key).second) continue;
      ++length;
      for (std::size_t a = 0; a < out.axes.size(); ++a) {
        for (std::size_t p = 0; p < out.axes[a].pointers.size(); ++p) {
          values[a].push_back(out.axes[a].at(i, p));
        }
      }
    }
    for (std::size_t a = 0; a < out.axes.size(); ++a) {
      out.axes[a].values = std::move(values[a]);
      out.axes[a].length = length;
    }
  }
  return out;
}

}  // namespace

SweepResult::SweepResult(SweepScenario scenario, std::shared_ptr<LabelTable> labels,
                         std::shared_ptr<scenario::Library> library)
    : scenario_(std::make_shared<const SweepScenario>(std::move(scenario))),
      labels_(std::move(labels)),
      library_(std::move(library)),
      plan_(std::make_shared<const SweepPlan>(*scenario_, *labels_, *library_)) {}

std::uint64_t SweepResult::points() const {
  return plan_->points();
}
std::size_t SweepResult::position(std::uint64_t point, std::size_t axis) const {
  return plan_->position(point, axis);
}
const std::string& SweepResult::provenance() const {
  return plan_->provenance();
}
const std::vector<Bound>& SweepResult::bounds() const {
  return plan_->bounds();
}
const std::vector<std::string>& SweepResult::notes() const {
  return plan_->notes();
}

void SweepResult::evaluate(const SweepOptions& options) {
  const std::size_t chunk_points = scenario_->kind->points_per_chunk();
  const auto count = static_cast<std::size_t>((points() + chunk_points - 1) / chunk_points);
  chunks_.resize(count);
  std::vector<ChunkReport> reports(count);
  const Groups groups(*this);
  std::atomic<std::uint64_t> kept{0};
  const auto stopped = [&] {
    return options.stop != nullptr && options.stop->load(std::memory_order_relaxed);
  };
  parallel_for(options.threads, count, [&] {
    return [&, worker = std::make_unique<ChunkWorker>(*this, groups, options.stop)](std::size_t i) {
      const std::uint64_t begin = i * chunk_points;
      const std::uint64_t end = std::min<std::uint64_t>(begin + chunk_points, points());
      worker->run(begin, end, chunks_[i], reports[i]);
      if (options.progress) options.progress(end - begin, points());
      const auto rows = kept.fetch_add(chunks_[i].offsets.size()) + chunks_[i].offsets.size();
      if (rows * scenario_->columns.size() > kMaxKeptValues) {
        throw UserError(fmt::format(
            "{}: more than {} rows of {} columns pass the filters; filter more, or choose fewer "
            "columns",
            scenario_->document.name(), kMaxKeptValues / scenario_->columns.size(),
            scenario_->columns.size()));
      }
      return !stopped();
    };
    // The analyzer loses sight of the worker, which the function handed out owns.
  });  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
  if (stopped()) throw Interrupted();
  kept_ = kept;
  for (const ChunkReport& report : reports) invalid_ += report.invalid;
  refuse_invalid(*this, reports, points());
  values_.reserve(kept_ * scenario_->columns.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(values_.size());
    values_.insert(values_.end(), reports[i].values.begin(), reports[i].values.end());
    chunks_[i].values = {values_.begin() + begin, values_.end()};
    reports[i].values =
        std::vector<double>();  // one chunk at a time, so that all rows are never held twice
  }
  if (!scenario_->pareto.objectives.empty()) flag_front();
}

void SweepResult::flag_front() {
  const std::size_t width = scenario_->columns.size();
  const Groups groups(*this);
  std::vector<double> objectives;
  std::vector<std::uint32_t> row_groups;
  const auto for_each_candidate = [&](auto&& visit) {
    for (SweepChunk& chunk : chunks_) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        if (chunk.pareto[row]) visit(chunk, row);
      }
    }
  };
  for_each_candidate([&](const SweepChunk& chunk, std::size_t row) {
    append_objectives(scenario_->pareto, {chunk.values.data() + row * width, width}, objectives);
    row_groups.push_back(groups.of(chunk.first + chunk.offsets[row]));
  });
  const auto front = pareto_front(objectives, scenario_->pareto.objectives.size(), row_groups);
  std::size_t next = 0;
  for_each_candidate(
      [&](SweepChunk& chunk, std::size_t row) { chunk.pareto[row] = front[next++]; });
}

void SweepResult::flag_references() {
  const std::size_t width = scenario_->columns.size();
  std::map<std::string, std::vector<std::vector<double>>> fronts;
  for (const SweepChunk& chunk : chunks_) {
    for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
      if (!chunk.pareto[row]) continue;
      auto& objectives =
          fronts[group_name(*this, scenario_->pareto.within, chunk.first + chunk.offsets[row])]
              .emplace_back();
      append_objectives(scenario_->pareto, {chunk.values.data() + row * width, width}, objectives);
    }
  }
  for (SweepResult& reference : references_) {
    // The same axes, which may stand at other places; one that reached into the subject is gone,
    // and with it the rows that a reference could be compared with.
    std::vector<std::size_t> within;
    for (const std::size_t a : scenario_->pareto.within) {
      for (std::size_t b = 0; b < reference.scenario().axes.size(); ++b) {
        if (reference.scenario().axes[b].location == scenario_->axes[a].location) {
          within.push_back(b);
        }
      }
    }
    for (SweepChunk& chunk : reference.chunks_) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        std::vector<double> own;
        append_objectives(scenario_->pareto, {chunk.values.data() + row * width, width}, own);
        const auto& front = fronts[group_name(reference, within, chunk.first + chunk.offsets[row])];
        const bool known = std::none_of(own.begin(), own.end(), [](double x) { return x != x; });
        const bool beaten = std::any_of(front.begin(), front.end(), [&](const auto& other) {
          return other != own &&
                 std::equal(other.begin(), other.end(), own.begin(), std::less_equal<>());
        });
        chunk.pareto.push_back(known && !beaten);
      }
    }
  }
}

namespace {

// Whether points can be asked at all. Nobody waits for an answer: what takes long is begun, as far
// as it takes to see that it can run, and stopped.
void check_points(const SweepResult& result) {
  constexpr std::uint64_t kMost = 100000;
  const std::uint64_t points = std::min(result.points(), kMost);
  const std::atomic<bool> stop{true};
  SweepCursor cursor(result.plan(), &stop);
  ChunkReport report;
  for (std::uint64_t point = 0; point < points; ++point) {
    cursor.move_to(point);
    std::string problem = cursor.evaluator().problem();
    if (problem.empty()) continue;
    ++report.invalid;
    if (report.first_invalid.size() < kToldInvalidPoints) {
      report.first_invalid.push_back({point, std::move(problem)});
    }
  }
  refuse_invalid(result, {report}, points);
}

}  // namespace

void check_sweep(const SweepScenario& scenario) {
  const auto labels = std::make_shared<LabelTable>();
  const auto library = std::make_shared<scenario::Library>();
  check_points(SweepResult(scenario, labels, library));
  for (const std::string& reference : scenario.references) {
    (void)SweepResult(reference_scenario(scenario, reference), labels, library);
  }
}

SweepResult run_sweep(SweepScenario scenario, const SweepOptions& options) {
  const auto labels = std::make_shared<LabelTable>();
  const auto library = std::make_shared<scenario::Library>();
  SweepResult result(std::move(scenario), labels, library);
  // References first: they are few, and a mistake in one should not come after a long sweep.
  for (const std::string& reference : result.scenario().references) {
    SweepResult& compared = result.references_.emplace_back(
        reference_scenario(result.scenario(), reference), labels, library);
    compared.subject_ = reference;
    compared.evaluate({.threads = options.threads, .stop = options.stop});
  }
  result.evaluate(options);
  if (!result.scenario().pareto.objectives.empty()) result.flag_references();
  return result;
}

}  // namespace ridge::sweep
