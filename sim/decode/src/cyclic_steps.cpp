#include "ridge/decode/cyclic_steps.hpp"

#include "interconnect.hpp"
#include "ridge/base/error.hpp"
#include "ridge/decode/strategy.hpp"
#include "rotation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace ridge::decode {
namespace {

using des::SimTime;

// What takes as long as its times take, over so many steps, again and again.
struct Cycle {
  std::vector<std::uint32_t> times;
  double steps = 1.0;
  [[nodiscard]] double ratio(std::span<const double> picoseconds) const {
    double sum = 0.0;
    for (const std::uint32_t time : times) sum += picoseconds[time];
    return sum / steps;
  }
};

// A rotation, by what follows what.
struct Turns {
  std::vector<Follows> follows;
  Rounds rounds;  // whose edges without a time name the one after the last
  // Of other batches, those that no step was shorter than, the last one last. They mostly are, or
  // are close to, the longest of this batch too.
  std::vector<Cycle> cycles;

  [[nodiscard]] double least(std::span<const double> picoseconds) const {
    double ratio = 0.0;
    for (const Cycle& cycle : cycles) ratio = std::max(ratio, cycle.ratio(picoseconds));
    return ratio;
  }
};

bool uniform(const Noise& noise) {
  return noise.experts.kind == ExpertPopularity::Kind::uniform;
}

SimulationInput checked_for_cycles(SimulationInput input) {
  const Noise& noise = input.noise;
  if (input.workload.kind != Workload::Kind::closed_loop || !input.workload.steady ||
      noise.kernel_jitter != 0.0 || noise.network_jitter != 0.0 ||
      input.network_model != NetworkModel::ports) {
    throw UserError(
        "a step's cycle is known without simulation for a steady closed loop without jitter on "
        "network model \"ports\"");
  }
  input.deployment.schedule = Schedule::cyclic;
  Diagnostics problems;
  for (const auto& problem : deployment_problems(input.deployment)) {
    problems.error("deployment", "", problem);
  }
  problems.throw_if_errors();
  return input;
}

}  // namespace

struct CyclicSteps::Impl {
  // The deployment with a draw's kernels.
  struct Drawn {
    Drawn(const SimulationInput& input, const StepGraph& graph, const KernelDraw& draw)
        : deployment(input.deployment), seed(draw.seed) {
      for (std::size_t p = 0; p < deployment.pools.size(); ++p) {
        deployment.pools[p].kernels = draw.kernels[p];
      }
      if (draw.step_overhead) deployment.step_overhead = *draw.step_overhead;
      timer.emplace(deployment, graph, input.noise.experts, input.noise.slow_gpus, seed,
                    input.drawn_rows);
    }
    Deployment deployment;
    std::uint64_t seed;
    std::optional<StageTimer> timer;
    bool used = false;
  };

  Impl(SimulationInput in, std::vector<KernelDraw> all)
      : input(checked_for_cycles(std::move(in))),
        graph(compile(input.deployment, drawn_layers(input.deployment, input.noise.experts))),
        draws(std::move(all)),
        drawn(draws.size()),
        micro_batches(static_cast<std::size_t>(input.deployment.micro_batches)),
        shop(graph, input.deployment),
        servers(shop.servers()),
        events(graph, static_cast<std::uint32_t>(micro_batches)) {
    if (input.deployment.pools.size() > 1) {
      interconnect.emplace(input.deployment, input.network_model, input.noise.slow_links);
    }
  }

  std::vector<ReplicaTimes> times(std::size_t draw, std::int64_t requests, std::int64_t context,
                                  std::size_t asked) {
    RIDGE_INVARIANT(asked == micro_batches || input.deployment.replicas == 1,
                    "what a second replica draws follows all of the first");
    auto& it = drawn[draw];
    if (!it) it = std::make_unique<Drawn>(input, graph, draws[draw]);
    if (it->used) {
      // Each run draws from the beginning.
      if (uniform(input.noise)) {
        it->timer->restart(it->seed);
      } else {
        it->timer.emplace(it->deployment, graph, input.noise.experts, input.noise.slow_gpus,
                          it->seed);
      }
    }
    it->used = true;
    const std::vector<GroupBatch> batch(
        static_cast<std::size_t>(input.deployment.groups()),
        GroupBatch{.requests = requests, .cached_tokens = requests * context, .longest = context});
    std::vector<ReplicaTimes> out(static_cast<std::size_t>(input.deployment.replicas));
    for (ReplicaTimes& replica : out) {
      replica.picoseconds.assign(asked * graph.works().size() * kAspects, 0.0);
      for (std::size_t lane = 0; lane < asked; ++lane) {
        it->timer->time(batch, scratch);
        put_times(graph, interconnect ? &*interconnect : nullptr, lane, scratch,
                  replica.picoseconds);
      }
    }
    return out;
  }

  [[nodiscard]] MicroBatchWork work(const ReplicaTimes& times, std::size_t lane) const {
    MicroBatchWork out{.resources = std::vector<double>(servers.resources, 0.0),
                       .senders = std::vector<double>(servers.instances, 0.0),
                       .receivers = std::vector<double>(servers.instances, 0.0)};
    const auto seconds = [&](WorkId work, Aspect aspect) {
      return 1e-12 * times.picoseconds[time_index(graph, lane, work, aspect)];
    };
    std::vector<double> start(graph.tasks().size(), 0.0);
    for (TaskId t = 0; t < graph.tasks().size(); ++t) {
      const Task& task = graph.tasks()[t];
      double lasts = 0.0;
      if (task.on_resource) {
        lasts = seconds(task.work, Aspect::service);
        out.resources[task.resource] += lasts;
        const ResourceInfo& resource = graph.resources()[task.resource];
        if (resource.compute) {
          const auto gpus = input.deployment.pools[resource.at.pool].gpus_per_instance;
          out.gpu_seconds[static_cast<std::size_t>(stage_of(graph.works()[task.work]))] +=
              lasts * static_cast<double>(gpus);
        }
      } else {
        const auto& message = std::get<Message>(graph.works()[task.work]);
        lasts = std::max(seconds(task.work, Aspect::in_flight),
                         seconds(task.work, Aspect::until_received));
        out.senders[servers.sender(message.from) - servers.resources] +=
            seconds(task.work, Aspect::sending);
        out.receivers[servers.sender(message.to) - servers.resources] +=
            seconds(task.work, Aspect::receiving);
      }
      const double end = start[t] + lasts;
      out.longest_path = std::max(out.longest_path, end);
      for (const TaskId next : graph.successors(t)) start[next] = std::max(start[next], end);
    }
    return out;
  }

  [[nodiscard]] Seconds floor(const ReplicaTimes& times) const {
    std::vector<double> busy(servers.count(), 0.0);
    double floor = 0.0;
    for (std::size_t lane = 0; lane < micro_batches; ++lane) {
      const MicroBatchWork one = work(times, lane);
      floor = std::max(floor, one.longest_path);
      std::size_t server = 0;
      for (const auto* part : {&one.resources, &one.senders, &one.receivers}) {
        for (const double seconds : *part) busy[server++] += seconds;
      }
    }
    return Seconds{std::max(floor, *std::max_element(busy.begin(), busy.end()))};
  }

  // The n-th to choose from, in the order in which best_rotation() tries them; null for none.
  // Mostly one of the first is as fast as any can be, so that the others are never needed.
  Turns* rotation(std::size_t n) {
    const auto lanes = static_cast<std::uint32_t>(micro_batches);
    if (choices.empty()) choices = Rotation::choices(shop, lanes);
    while (rotations.size() <= n) {
      if (next_choice == choices.size()) return nullptr;
      const Rotation one(shop, lanes, choices[next_choice++]);
      if (!rotations.empty() && !one.runs()) continue;
      auto follows = precedences(graph, events, lanes, one);
      auto rounds = in_rounds(events.count(), follows);
      const auto no_time =
          static_cast<std::uint32_t>(micro_batches * graph.works().size() * kAspects);
      for (Rounds::Edge& edge : rounds.edges) edge.time = std::min(edge.time, no_time);
      rotations.push_back({std::move(follows), std::move(rounds), {}});
    }
    return &rotations[n];
  }

  // How far the rounds of some columns have grown: least and most of all events over `periods`
  // rounds.
  struct Growth {
    std::vector<double> low;
    std::vector<double> high;
    [[nodiscard]] bool settled(std::size_t column) const {
      return high[column] - low[column] <= kTolerance * high[column];
    }
  };

  // Rounds of a max-plus linear system: x(k) = max over what it follows of x(k - back) + time.
  // Whatever x is, the cycle ratio lies between the least and the most growth of its events, and
  // both meet once the system has found its period. A set of replicas is given up where its first
  // cannot be shorter than `enough` of the set, in picoseconds; its ratios are then infinite.
  [[nodiscard]] std::vector<double> cycle_ratios(Turns& turns,
                                                 std::span<const ReplicaTimes* const> all,
                                                 std::span<const double> enough) const {
    const Rounds& rounds = turns.rounds;
    const std::size_t columns = all.size();
    if (all_longer(turns, all, enough)) return std::vector<double>(columns, kInfinity);
    // Rows by kind of time, columns beside each other; the last row is no time.
    const std::size_t kinds = all[0]->picoseconds.size();
    std::vector<double> times((kinds + 1) * columns, 0.0);
    for (std::size_t i = 0; i < kinds; ++i) {
      for (std::size_t c = 0; c < columns; ++c) times[i * columns + c] = all[c]->picoseconds[i];
    }
    const auto longest_period = static_cast<std::uint32_t>(std::max<std::size_t>(micro_batches, 2));
    const std::uint32_t kept = rounds.reach + longest_period + 1;
    std::vector<std::vector<double>> x(kept, std::vector<double>(events.count() * columns, 0.0));
    Growth growth{.low = std::vector<double>(columns, 0.0),
                  .high = std::vector<double>(columns, kInfinity)};
    const auto replicas = static_cast<std::size_t>(input.deployment.replicas);
    const auto given_up = [&](std::size_t column) {
      const std::size_t set = column / replicas;
      return growth.low[set * replicas] >= enough[set];
    };
    std::vector<double> of_edge;
    if (columns == 1) {
      for (const Rounds::Edge& edge : rounds.edges) of_edge.push_back(times[edge.time]);
    }
    std::vector<const double*> rows;
    std::vector<double> least(columns);
    std::vector<double> most(columns);
    std::uint32_t k = 1;
    for (; k <= kMostRounds; ++k) {
      if (columns == 1) {
        turn_one(rounds, of_edge, x, k, rows);
      } else {
        turn(rounds, times, columns, x, k);
      }
      if (k % kRoundsBetweenLooks != 0) continue;
      for (std::uint32_t p = 1; p <= longest_period; ++p) {
        std::fill(least.begin(), least.end(), kInfinity);
        std::fill(most.begin(), most.end(), 0.0);
        // All that later rounds depend on.
        for (std::uint32_t r = 0; r < rounds.reach; ++r) {
          const double* after = x[(k + kept - r) % kept].data();
          const double* before = x[(k + 2 * kept - r - p) % kept].data();
          if (columns == 1) {
            const auto [lowest, highest] = growth_of(after, before, events.count());
            least[0] = std::min(least[0], lowest);
            most[0] = std::max(most[0], highest);
            continue;
          }
          for (std::size_t v = 0; v < events.count(); ++v, after += columns, before += columns) {
            for (std::size_t c = 0; c < columns; ++c) {
              const double grown = after[c] - before[c];
              least[c] = grown < least[c] ? grown : least[c];
              most[c] = grown > most[c] ? grown : most[c];
            }
          }
        }
        for (std::size_t c = 0; c < columns; ++c) {
          growth.low[c] = std::max(growth.low[c], least[c] / p);
          growth.high[c] = std::min(growth.high[c], most[c] / p);
        }
      }
      bool over = true;
      for (std::size_t c = 0; c < columns; ++c) {
        over = over && (growth.settled(c) || given_up(c));
      }
      if (over) break;
    }
    keep_cycle(turns, x, std::min(k, kMostRounds), columns, all[0]->picoseconds);
    std::vector<double> out(columns, kInfinity);
    for (std::size_t c = 0; c < columns; ++c) {
      if (given_up(c)) continue;
      out[c] = growth.settled(c) ? growth.high[c] : ratio_by_cycles(turns, *all[c]);
    }
    return out;
  }

  // Whether a cycle of the rotation tells of every set that it cannot be as short as that.
  [[nodiscard]] bool all_longer(const Turns& turns, std::span<const ReplicaTimes* const> all,
                                std::span<const double> enough) const {
    // The rounds add up the same times in another order.
    constexpr double kSurely = 1.0 - 1e-9;
    const auto replicas = static_cast<std::size_t>(input.deployment.replicas);
    if (turns.cycles.empty()) return false;
    for (std::size_t set = 0; set < enough.size(); ++set) {
      if (kSurely * turns.least(all[set * replicas]->picoseconds) < enough[set]) return false;
    }
    return true;
  }

  // Keeps the longest cycle of those that the events of the last round, `k`, waited for last, of
  // the first column.
  void keep_cycle(Turns& turns, const std::vector<std::vector<double>>& x, std::uint32_t k,
                  std::size_t columns, std::span<const double> picoseconds) const {
    const Rounds& rounds = turns.rounds;
    const std::size_t kept = x.size();
    std::vector<const Rounds::Edge*> cause(events.count());
    const auto no_time = static_cast<std::uint32_t>(picoseconds.size());
    for (std::size_t i = 0; i < rounds.order.size(); ++i) {
      double latest = -1.0;
      for (std::uint32_t e = rounds.first[i]; e < rounds.first[i + 1]; ++e) {
        const Rounds::Edge& edge = rounds.edges[e];
        const double at = x[(k + kept - edge.back) % kept][edge.from * columns] +
                          (edge.time < no_time ? picoseconds[edge.time] : 0.0);
        if (at <= latest) continue;
        latest = at;
        cause[rounds.order[i]] = &edge;
      }
    }
    std::vector<std::uint32_t> seen_from(events.count(), kUnseen);
    Cycle longest;
    double ratio = turns.least(picoseconds);
    bool found = false;
    for (std::uint32_t start = 0; start < events.count(); ++start) {
      std::uint32_t at = start;
      while (seen_from[at] == kUnseen) {
        seen_from[at] = start;
        at = cause[at]->from;
      }
      if (seen_from[at] != start) continue;
      Cycle cycle{.times = {}, .steps = 0.0};
      std::uint32_t around = at;
      do {
        if (cause[around]->time < no_time) cycle.times.push_back(cause[around]->time);
        cycle.steps += cause[around]->back;
        around = cause[around]->from;
      } while (around != at);
      // An event of no step's making follows itself in no time.
      if (const double its = cycle.ratio(picoseconds); its > (1.0 + kTolerance) * ratio) {
        ratio = its;
        longest = std::move(cycle);
        found = true;
      }
    }
    if (!found) return;
    constexpr std::size_t kMostCycles = 4;
    if (turns.cycles.size() == kMostCycles) turns.cycles.erase(turns.cycles.begin());
    turns.cycles.push_back(std::move(longest));
  }

  // One round of one column, whose times are those of the edges.
  static void turn_one(const Rounds& rounds, const std::vector<double>& of_edge,
                       std::vector<std::vector<double>>& x, std::uint32_t k,
                       std::vector<const double*>& before) {
    const std::size_t kept = x.size();
    before.resize(rounds.reach + 1);
    for (std::uint32_t back = 0; back <= rounds.reach; ++back) {
      before[back] = x[(k + kept - back) % kept].data();
    }
    double* const now = x[k % kept].data();
    const double* time = of_edge.data();
    const Rounds::Edge* edge = rounds.edges.data();
    for (std::size_t i = 0; i < rounds.order.size(); ++i) {
      double latest = 0.0;
      for (const auto* end = rounds.edges.data() + rounds.first[i + 1]; edge != end;
           ++edge, ++time) {
        const double at = before[edge->back][edge->from] + *time;
        latest = latest > at ? latest : at;
      }
      now[rounds.order[i]] = latest;
    }
  }

  // The least and the most that one column has grown, of these events.
  static std::pair<double, double> growth_of(const double* after, const double* before,
                                             std::size_t count) {
    constexpr std::size_t kAtOnce = 4;
    std::array<double, kAtOnce> least;
    std::array<double, kAtOnce> most;
    least.fill(kInfinity);
    most.fill(0.0);
    const auto see = [&](std::size_t slot, double grown) {
      least[slot] = grown < least[slot] ? grown : least[slot];
      most[slot] = grown > most[slot] ? grown : most[slot];
    };
    std::size_t v = 0;
    for (; v + kAtOnce <= count; v += kAtOnce) {
      for (std::size_t slot = 0; slot < kAtOnce; ++slot) {
        see(slot, after[v + slot] - before[v + slot]);
      }
    }
    for (; v < count; ++v) see(0, after[v] - before[v]);
    return {*std::min_element(least.begin(), least.end()),
            *std::max_element(most.begin(), most.end())};
  }

  // One round, of all columns.
  static void turn(const Rounds& rounds, const std::vector<double>& times, std::size_t columns,
                   std::vector<std::vector<double>>& x, std::uint32_t k) {
    const std::size_t kept = x.size();
    std::vector<const double*> before;  // by rounds back
    for (std::uint32_t back = 0; back <= rounds.reach; ++back) {
      before.push_back(x[(k + kept - back) % kept].data());
    }
    double* const now = x[k % kept].data();
    for (std::size_t i = 0; i < rounds.order.size(); ++i) {
      const std::span edges(rounds.edges.data() + rounds.first[i],
                            rounds.edges.data() + rounds.first[i + 1]);
      double* const to = now + rounds.order[i] * columns;
      std::fill_n(to, columns, 0.0);
      for (const Rounds::Edge& edge : edges) {
        const double* const from = before[edge.back] + edge.from * columns;
        const double* const time = times.data() + edge.time * columns;
        for (std::size_t c = 0; c < columns; ++c) {
          const double at = from[c] + time[c];
          to[c] = to[c] > at ? to[c] : at;
        }
      }
    }
  }

  // Where rounds take too long to settle: two cycles are nearly as slow as each other.
  [[nodiscard]] double ratio_by_cycles(const Turns& turns, const ReplicaTimes& times) const {
    return maximum_cycle_ratio(events.count(), turns.follows, times.picoseconds);
  }

  std::vector<Seconds> step_times(std::span<const ReplicaTimes> all, Seconds limit) {
    const auto replicas = static_cast<std::size_t>(input.deployment.replicas);
    RIDGE_INVARIANT(all.size() % replicas == 0, "times of all replicas of a deployment");
    const double too_long = (1.0 + kTolerance) * limit.value() * 1e12;
    std::vector<double> best(all.size(), kInfinity);
    std::vector<std::size_t> open;  // sets whose first may become faster, each by its first
    std::vector<double> least;      // what that is then, in picoseconds
    for (std::size_t first = 0; first < all.size(); first += replicas) {
      open.push_back(first);
      least.push_back((1.0 + kTolerance) * floor(all[first]).value() * 1e12);
    }
    // What was best for the batch before is mostly good for this one: others need not be followed
    // further than it takes to see that they are not better. It decides nothing: the answer is that
    // of trying all in their order.
    const std::size_t favored = all.size() == 1 ? favorite : 0;
    double of_favored = kInfinity;
    if (favored > 0) {
      of_favored = cycle_ratios(*rotation(favored), std::array{&all[0]}, std::array{too_long})[0];
    }
    const auto enough_for = [&](std::size_t set, std::size_t first) {
      // One that is as fast as any can be is taken before a better one that comes later.
      const double less =
          of_favored > least[set] ? of_favored : std::nextafter(least[set], kInfinity);
      return std::min({best[first], too_long, less});
    };
    for (std::size_t n = 0; !open.empty(); ++n) {
      Turns* turns = rotation(n);
      if (turns == nullptr) break;
      std::vector<const ReplicaTimes*> columns;
      std::vector<double> enough;
      for (const std::size_t first : open) {
        for (std::size_t r = first; r < first + replicas; ++r) columns.push_back(&all[r]);
        enough.push_back(enough_for(first / replicas, first));
      }
      const bool known = n == favored && of_favored < kInfinity;
      const std::vector<double> ratios =
          known ? std::vector{of_favored} : cycle_ratios(*turns, columns, enough);
      for (std::size_t set = 0; set < open.size(); ++set) {
        if (ratios[set * replicas] >= std::min(best[open[set]], too_long)) continue;
        std::copy_n(ratios.begin() + static_cast<std::ptrdiff_t>(set * replicas), replicas,
                    best.begin() + static_cast<std::ptrdiff_t>(open[set]));
        if (all.size() == 1) favorite = n;
      }
      std::erase_if(open,
                    [&](std::size_t first) { return best[first] <= least[first / replicas]; });
    }
    std::vector<Seconds> out;
    for (const double picoseconds : best) out.emplace_back(picoseconds * 1e-12);
    return out;
  }

  static constexpr std::uint32_t kRoundsBetweenLooks = 8;
  static constexpr std::uint32_t kMostRounds = 400;
  static constexpr std::uint32_t kUnseen = 0xffffffff;
  static constexpr double kTolerance = 1e-7;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  SimulationInput input;
  StepGraph graph;
  std::optional<Interconnect> interconnect;
  std::vector<KernelDraw> draws;
  std::vector<std::unique_ptr<Drawn>> drawn;
  std::size_t micro_batches;
  Shop shop;
  const RotationServers& servers;
  Events events;
  std::vector<Rotation::Choice> choices;
  std::size_t next_choice = 0;
  std::vector<Turns> rotations;  // of the first choices that run
  std::size_t favorite = 0;      // of these, the best for the batch before
  StepTimes scratch;
};

CyclicSteps::CyclicSteps(SimulationInput input, std::vector<KernelDraw> draws)
    : impl_(std::make_unique<Impl>(std::move(input), std::move(draws))) {}
CyclicSteps::~CyclicSteps() = default;

std::vector<ReplicaTimes> CyclicSteps::times(std::size_t draw, std::int64_t requests,
                                             std::int64_t context,
                                             std::optional<std::size_t> micro_batches) {
  return impl_->times(draw, requests, context, micro_batches.value_or(impl_->micro_batches));
}
MicroBatchWork CyclicSteps::work(const ReplicaTimes& times, std::size_t micro_batch) const {
  return impl_->work(times, micro_batch);
}
Seconds CyclicSteps::floor(const ReplicaTimes& times) const {
  return impl_->floor(times);
}
std::vector<Seconds> CyclicSteps::step_times(std::span<const ReplicaTimes> all, Seconds limit) {
  return impl_->step_times(all, limit);
}
const StepGraph& CyclicSteps::graph() const {
  return impl_->graph;
}

}  // namespace ridge::decode
