#include "ridge/sweep/sweep.hpp"

#include "chunk_answer.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/sweep/pareto.hpp"
#include "sweep_plan.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;

// Rows are held in memory until the front is known: 1.9 GB.
constexpr std::uint64_t kMaxKeptValues = 240000000;

bool passes(const std::vector<Filter>& filters, std::span<const double> row) {
  return std::all_of(filters.begin(), filters.end(),
                     [&](const Filter& filter) { return filter.keeps(row[filter.column]); });
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

constexpr std::size_t kToldInvalidPoints = 5;

// One thread's way through chunks.
class ChunkWorker {
 public:
  ChunkWorker(const SweepResult& result, const std::atomic<bool>* stop)
      : result_(result), cursor_(result.plan(), stop) {}

  [[nodiscard]] ChunkAnswer ask(std::uint64_t begin, std::uint64_t end) {
    const SweepScenario& scenario = result_.scenario();
    const std::size_t width = scenario.columns.size();
    ChunkAnswer out;
    values_.resize((end - begin) * width);
    std::size_t used = 0;
    for (std::uint64_t point = begin; point < end; ++point) {
      cursor_.move_to(point);
      if (std::string problem = cursor_.evaluator().problem(); !problem.empty()) {
        ++out.invalid;
        if (out.first_invalid.size() < kToldInvalidPoints) {
          out.first_invalid.push_back({point, std::move(problem)});
        }
        continue;
      }
      const std::span<double> row(values_.data() + used, width);
      cursor_.evaluator().evaluate(row);
      if (!passes(scenario.filters, row)) continue;
      out.offsets.push_back(static_cast<std::uint32_t>(point - begin));
      used += width;
    }
    out.values.assign(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(used));
    return out;
  }

 private:
  const SweepResult& result_;
  SweepCursor cursor_;
  std::vector<double> values_;
};

// A row that its own chunk beats is on no front, so that only few are left to compare at the end.
void flag(const SweepResult& result, const Groups& groups, SweepChunk& chunk) {
  const SweepScenario& scenario = result.scenario();
  const std::size_t width = scenario.columns.size();
  std::vector<double> objectives;
  std::vector<std::uint32_t> row_groups;
  for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
    append_objectives(scenario.pareto, {chunk.values.data() + row * width, width}, objectives);
    row_groups.push_back(groups.of(chunk.first + chunk.offsets[row]));
  }
  chunk.pareto = pareto_front(objectives, scenario.pareto.objectives.size(), row_groups);
}

// How a part is cut into chunks.
struct Chunks {
  std::uint64_t points;
  std::size_t each;

  explicit Chunks(const SweepResult& part)
      : points(part.points()), each(part.scenario().kind->points_per_chunk()) {}
  [[nodiscard]] std::uint64_t count() const { return (points + each - 1) / each; }
  [[nodiscard]] std::uint64_t begin(std::uint64_t chunk) const { return chunk * each; }
  [[nodiscard]] std::uint64_t end(std::uint64_t chunk) const {
    return std::min<std::uint64_t>(begin(chunk) + each, points);
  }
};

// As a piece of work for another rank.
std::string piece_of(ChunkId id) {
  return fmt::format("{} {}", id.part, id.chunk);
}
ChunkId chunk_of(const std::string& piece) {
  ChunkId out;
  std::istringstream(piece) >> out.part >> out.chunk;
  return out;
}

// Throws where the scenario takes no invalid points and there are some, or there are no others.
void refuse_invalid(const SweepResult& result, const std::vector<ChunkAnswer>& answers,
                    std::uint64_t points) {
  std::uint64_t refused = 0;
  for (const ChunkAnswer& answer : answers) refused += answer.invalid;
  const bool skip = result.scenario().invalid_points == SweepScenario::InvalidPoints::skip;
  if (refused == 0 || (skip && refused < points)) return;
  std::string words;
  std::size_t told = 0;
  for (const ChunkAnswer& answer : answers) {
    for (const InvalidPoint& invalid : answer.first_invalid) {
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
  json moved = scenario.document.json();
  const json::json_pointer place(subject);
  if (!moved["base"].contains(place)) {
    throw UserError(fmt::format(
        "{}: /references: expected the base to hold \"{}\" itself, not by the name of a file that "
        "does: that is where a reference stands in",
        scenario.document.name(), subject));
  }
  moved["base"][place] = reference;
  out.document = JsonDocument(scenario.document.name(), std::move(moved));
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

void SweepResult::evaluate(std::uint32_t part, const SweepOptions& options) {
  const Chunks cut(*this);
  const std::size_t count = cut.count();
  chunks_.resize(count);
  std::vector<ChunkAnswer> answers(count);
  const Groups groups(*this);
  std::atomic<std::uint64_t> kept{0};
  const auto stopped = [&] {
    return options.stop != nullptr && options.stop->load(std::memory_order_relaxed);
  };
  parallel_for(options.threads, count, [&] {
    return [&, worker = std::make_unique<ChunkWorker>(*this, options.stop)](std::size_t i) {
      const std::uint64_t begin = cut.begin(i);
      const auto known =
          options.journal != nullptr ? options.journal->find({part, i}) : std::nullopt;
      answers[i] = known ? answer_of(*known, *scenario_, *labels_) : worker->ask(begin, cut.end(i));
      chunks_[i].first = begin;
      chunks_[i].offsets = std::move(answers[i].offsets);
      chunks_[i].values = answers[i].values;
      if (!scenario_->pareto.objectives.empty()) flag(*this, groups, chunks_[i]);
      if (options.progress) options.progress(cut.end(i) - begin, points());
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
  for (const ChunkAnswer& answer : answers) invalid_ += answer.invalid;
  refuse_invalid(*this, answers, points());
  values_.reserve(kept_ * scenario_->columns.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(values_.size());
    values_.insert(values_.end(), answers[i].values.begin(), answers[i].values.end());
    chunks_[i].values = {values_.begin() + begin, values_.end()};
    answers[i].values =
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
  ChunkAnswer answer;
  for (std::uint64_t point = 0; point < points; ++point) {
    cursor.move_to(point);
    std::string problem = cursor.evaluator().problem();
    if (problem.empty()) continue;
    ++answer.invalid;
    if (answer.first_invalid.size() < kToldInvalidPoints) {
      answer.first_invalid.push_back({point, std::move(problem)});
    }
  }
  refuse_invalid(result, {answer}, points);
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

// The sweep and its references, and the journal that holds what is known of them.
class Parts {
 public:
  Parts(SweepScenario scenario, const SweepOptions& options)
      : options_(options), result_(std::move(scenario), labels_, library_) {
    for (const std::string& reference : result_.scenario().references) {
      SweepResult& compared = result_.references_.emplace_back(
          reference_scenario(result_.scenario(), reference), labels_, library_);
      compared.subject_ = reference;
    }
    if (options.journal != nullptr) options.journal->open(question(), result_.scenario().document);
  }

  // References first: they are few, and a mistake in one should not come after a long sweep.
  [[nodiscard]] std::vector<ChunkId> chunks() const {
    std::vector<ChunkId> out;
    for (std::size_t r = 0; r <= result_.references_.size(); ++r) {
      const auto part = static_cast<std::uint32_t>(r == result_.references_.size() ? 0 : r + 1);
      const std::uint64_t count = Chunks(this->part(part)).count();
      for (std::uint64_t chunk = 0; chunk < count; ++chunk) out.push_back({part, chunk});
    }
    return out;
  }

  // Asks these, as far as the journal does not know them, into the journal.
  void fill(const std::vector<ChunkId>& wanted) const {
    Journal& journal = *options_.journal;
    std::vector<ChunkId> missing;
    std::uint64_t points = 0;
    std::uint64_t known = 0;
    for (const ChunkId id : wanted) {
      points += points_of(id);
      if (journal.contains(id)) {
        known += points_of(id);
      } else {
        missing.push_back(id);
      }
    }
    if (journal.read_only() && !missing.empty()) refuse(missing);
    if (options_.progress && known > 0) options_.progress(known, points);
    const auto keep = [&](ChunkId id, std::string_view line) {
      journal.append(id, line);
      if (options_.progress) options_.progress(points_of(id), points);
    };
    const auto stopped = [&] {
      return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
    };
    if (options_.ranks != nullptr) {
      Worker worker(*this);
      std::vector<std::string> pieces;
      for (const ChunkId id : missing) pieces.push_back(piece_of(id));
      try {
        options_.ranks->begin(question());
        options_.ranks->lead(
            pieces, [&](const std::string& piece) { return worker.line_of(chunk_of(piece)); },
            [&](std::size_t piece, std::string_view line) { keep(missing[piece], line); },
            options_.stop);
        if (!stopped()) options_.ranks->end();
      } catch (const UserError& e) {
        throw UserError(fmt::format(
            "{}; {}", e.what(),
            journal.name().empty()
                ? std::string("without --journal, what the others finished is lost, too")
                : fmt::format("what is finished is in {}, and the same command goes on",
                              journal.name())));
      }
    } else {
      parallel_for(options_.threads, missing.size(), [&] {
        return [&, worker = Worker(*this)](std::size_t i) mutable {
          const std::string line = worker.line_of(missing[i]);
          if (stopped()) return false;  // what was asked then may be half an answer
          keep(missing[i], line);
          return true;
        };
      });
    }
    if (stopped()) throw Interrupted();
  }

  void help() const {
    Worker worker(*this);
    options_.ranks->follow(
        question(), [&](const std::string& piece) { return worker.line_of(chunk_of(piece)); });
  }

  // From the journal where there is one, all of whose chunks are known then.
  [[nodiscard]] SweepResult take() {
    SweepOptions options = options_;
    if (options.journal != nullptr) options.progress = {};
    const SweepOptions quiet{
        .threads = options.threads, .stop = options.stop, .journal = options.journal};
    for (std::uint32_t r = 0; r < result_.references_.size(); ++r) {
      result_.references_[r].evaluate(r + 1, quiet);
    }
    result_.evaluate(0, options);
    if (!result_.scenario().pareto.objectives.empty()) result_.flag_references();
    return std::move(result_);
  }

 private:
  // One thread's way through chunks of all parts.
  class Worker {
   public:
    explicit Worker(const Parts& parts) : parts_(parts) {}
    [[nodiscard]] std::string line_of(ChunkId id) {
      const SweepResult& part = parts_.part(id.part);
      auto& worker = workers_[id.part];
      if (!worker) worker = std::make_unique<ChunkWorker>(part, parts_.options_.stop);
      const Chunks cut(part);
      return sweep::line_of(id, worker->ask(cut.begin(id.chunk), cut.end(id.chunk)),
                            part.scenario(), part.labels());
    }

   private:
    const Parts& parts_;
    std::map<std::uint32_t, std::unique_ptr<ChunkWorker>> workers_;
  };

  [[nodiscard]] const SweepResult& part(std::uint32_t number) const {
    return number == 0 ? result_ : result_.references_[number - 1];
  }
  [[nodiscard]] std::uint64_t points_of(ChunkId id) const {
    const Chunks cut(part(id.part));
    return cut.end(id.chunk) - cut.begin(id.chunk);
  }

  // What decides the answer: the sweep, and all that its names stand for.
  [[nodiscard]] std::string question() const {
    std::string text = result_.scenario().document.json().dump();
    for (const std::string& file : library_->contents()) text += "\n" + file;
    return digest_of(text);
  }

  [[noreturn]] void refuse(const std::vector<ChunkId>& missing) const {
    std::uint64_t points = 0;
    for (const ChunkId id : missing) points += points_of(id);
    const ChunkId first = missing.front();
    const Chunks cut(part(first.part));
    throw UserError(fmt::format(
        "{}: {} points of this sweep are in none of these journals, the first of them point {} "
        "({}){}: a shard is missing, or has not finished",
        options_.journal->name(), points, cut.begin(first.chunk) + 1,
        point_words(part(first.part), cut.begin(first.chunk)),
        first.part == 0 ? std::string()
                        : fmt::format(" of reference \"{}\"", part(first.part).subject())));
  }

  const SweepOptions& options_;
  std::shared_ptr<LabelTable> labels_ = std::make_shared<LabelTable>();
  std::shared_ptr<scenario::Library> library_ = std::make_shared<scenario::Library>();
  SweepResult result_;
};

SweepResult run_sweep(SweepScenario scenario, const SweepOptions& options) {
  Parts parts(std::move(scenario), options);
  if (options.journal != nullptr) parts.fill(parts.chunks());
  return parts.take();
}

void help_sweep(SweepScenario scenario, const SweepOptions& options) {
  Parts(std::move(scenario), options).help();
}

void run_shard(SweepScenario scenario, const SweepOptions& options, const Shard& shard) {
  const Parts parts(std::move(scenario), options);
  std::vector<ChunkId> mine;
  const auto all = parts.chunks();
  for (std::size_t i = shard.index - 1; i < all.size(); i += shard.count) mine.push_back(all[i]);
  parts.fill(mine);
}

}  // namespace ridge::sweep
