#include "rotation.hpp"

#include "fabric.hpp"
#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <queue>
#include <tuple>
#include <utility>

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/howard_cycle_ratio.hpp>

namespace ridge::decode {

using des::SimTime;

RotationServers::RotationServers(const StepGraph& graph, const Deployment& deployment)
    : resources(graph.resources().size()) {
  for (const Pool& pool : deployment.pools) {
    first_instance.push_back(instances);
    instances += static_cast<std::size_t>(pool.instances);
  }
}

Shop::Shop(const StepGraph& graph, const Deployment& deployment)
    : graph_(graph), servers_(graph, deployment) {
  const auto tasks = graph.tasks();
  std::vector<std::vector<TaskId>> of(servers_.count());
  std::vector<Standing> standing(tasks.size());
  for (TaskId t = 0; t < tasks.size(); ++t) {
    for (const TaskId next : graph.successors(t)) {
      standing[next].depth = std::max(standing[next].depth, standing[t].depth + 1);
    }
    layers_ = std::max(layers_, tasks[t].layer);
    if (tasks[t].on_resource) {
      of[tasks[t].resource].push_back(t);
    } else {
      const auto& message = std::get<Message>(graph.works()[tasks[t].work]);
      of[servers_.sender(message.from)].push_back(t);
      of[servers_.receiver(message.to)].push_back(t);
    }
  }
  stand_in_turn(standing);
  for (std::size_t s = 0; s < of.size(); ++s) {
    visits_.push_back(visits_of(of[s], standing));
    const bool lags = std::any_of(visits_.back().begin(), visits_.back().end(),
                                  [](const Visit& visit) { return visit.phase > 0; });
    kernels_lag_ = kernels_lag_ || (lags && is_kernels(s));
    links_lag_ = links_lag_ || (lags && is_links(s));
  }
}

Rotation::Rotation(const Shop& shop, std::uint32_t micro_batches, Choice choice)
    : graph_(shop.graph()),
      servers_(shop.servers()),
      micro_batches_(micro_batches),
      orders_(servers_.count()) {
  for (std::size_t s = 0; s < orders_.size(); ++s) {
    const std::uint32_t lags = shop.is_kernels(s) ? choice.kernel_lags
                               : shop.is_links(s) ? choice.link_lags
                                                  : 0;
    order_server(s, shop.visits(s), shop.layers(), lags, choice);
  }
}

Rotation::Rotation(const StepGraph& graph, const Deployment& deployment,
                   std::uint32_t micro_batches)
    : graph_(graph),
      servers_(graph, deployment),
      micro_batches_(micro_batches),
      orders_(servers_.count()) {}

Rotation Rotation::staged(const StepGraph& graph, const Deployment& deployment,
                          std::uint32_t micro_batches) {
  Rotation out(graph, deployment, micro_batches);
  const auto tasks = graph.tasks();
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    for (TaskId t = 0; t < tasks.size(); ++t) {
      RIDGE_INVARIANT(tasks[t].on_resource, "stages send no messages between instances");
      out.orders_[tasks[t].resource].turns.push_back({.micro_batch = m, .task = t});
    }
  }
  const auto when = [&](const Turn& turn) {
    return tasks[turn.task].stage + kStagesApart * turn.micro_batch;
  };
  for (Order& order : out.orders_) {
    std::stable_sort(order.turns.begin(), order.turns.end(),
                     [&](const Turn& a, const Turn& b) { return when(a) < when(b); });
  }
  return out;
}

// A step of one micro-batch in which a message takes its sender and its receiver as long as it has
// bytes, and nothing else takes any time: who begins when is the order in which its fellows are
// served. It is the same however fast anything is.
void Shop::stand_in_turn(std::span<Standing> standing) const {
  const auto tasks = graph_.tasks();
  struct Coming {
    std::uint64_t when;
    std::uint64_t ready;  // first come, first served
    TaskId task;
    // Not by <=>, whose comparison by std::greater GCC 13 does not compile here.
    bool operator>(const Coming& other) const {
      return std::tie(when, ready, task) > std::tie(other.when, other.ready, other.task);
    }
  };
  std::priority_queue<Coming, std::vector<Coming>, std::greater<>> coming;
  std::vector<std::uint32_t> missing(tasks.size());
  std::vector<std::uint64_t> free_at(servers_.count(), 0);
  for (TaskId t = 0; t < tasks.size(); ++t) {
    missing[t] = graph_.dependencies(t);
    if (missing[t] == 0) coming.push({0, 0, t});
  }
  while (!coming.empty()) {
    const auto [when, ready, t] = coming.top();
    coming.pop();
    std::uint64_t end = when;
    if (!tasks[t].on_resource) {
      const auto& message = std::get<Message>(graph_.works()[tasks[t].work]);
      std::uint64_t& sent = free_at[servers_.sender(message.from)];
      if (sent > when) {
        coming.push({sent, ready, t});
        continue;
      }
      const auto bytes = static_cast<std::uint64_t>(std::llround(message.bytes_per_token));
      std::uint64_t& received = free_at[servers_.receiver(message.to)];
      sent = when + bytes;
      received = std::max(received, when) + bytes;
      end = received;
    }
    standing[t].turn = when;
    for (const TaskId next : graph_.successors(t)) {
      standing[next].turn = std::max(standing[next].turn, end);
      if (--missing[next] == 0) coming.push({standing[next].turn, standing[next].turn, next});
    }
  }
}

// By how many layers a micro-batch is behind, where steps begin `apart` turns after another. They
// begin in another order than micro-batches have in a layer, unless apart is 1.
static std::uint32_t layers_behind(std::uint32_t micro_batch, std::uint32_t micro_batches,
                                   std::uint32_t apart) {
  std::uint32_t turn = 0;
  while (turn % micro_batches != micro_batch) turn += apart;
  return turn / micro_batches;
}

std::vector<Shop::Visit> Shop::visits_of(std::span<const TaskId> tasks,
                                         std::span<const Standing> standing) const {
  std::vector<Visit> visits;
  const auto follows = [&](TaskId before, TaskId task) {
    const auto next = graph_.successors(before);
    return graph_.dependencies(task) == 1 &&
           std::find(next.begin(), next.end(), task) != next.end();
  };
  for (const TaskId t : tasks) {
    const std::uint32_t layer = graph_.tasks()[t].layer;
    if (!visits.empty()) {
      Visit& last = visits.back();
      const TaskId before = last.tasks.back();
      const bool together =
          graph_.tasks()[before].layer == layer && standing[before].depth == standing[t].depth;
      if (together || follows(before, t)) {
        last.tasks.push_back(t);
        continue;
      }
    }
    const std::uint32_t phase =
        !visits.empty() && visits.back().layer == layer ? visits.back().phase + 1 : 0;
    visits.push_back({layer, phase, {t}});
  }
  // First what was sent first: each sender begins with another receiver.
  for (Visit& visit : visits) {
    std::stable_sort(visit.tasks.begin(), visit.tasks.end(), [&](TaskId a, TaskId b) {
      return std::tie(standing[a].depth, standing[a].turn) <
             std::tie(standing[b].depth, standing[b].turn);
    });
  }
  return visits;
}

void Rotation::order_server(std::size_t server, std::span<const Shop::Visit> visits,
                            std::uint32_t layers, std::uint32_t lags, const Choice& choice) {
  if (visits.empty()) return;
  // The LM head counts as part of the layer after the last, which is the first of the next step:
  // a micro-batch goes on from one to the other.
  struct Entry {
    std::uint64_t key;
    std::uint32_t phase;
    std::int32_t step;
    std::size_t visit;
    std::uint32_t micro_batch;
  };
  std::vector<Entry> places;
  // Two places for each micro-batch's turn at a layer, so that a second phase falls between the
  // first ones of others and they alternate all the way, over the ends of layers too.
  const std::uint64_t round = 2 * std::uint64_t{layers} * micro_batches_;
  for (std::int32_t step = 0; step < 3; ++step) {
    for (std::size_t v = 0; v < visits.size(); ++v) {
      for (std::uint32_t m = 0; m < micro_batches_; ++m) {
        const std::uint64_t layer =
            std::uint64_t{visits[v].layer} + layers_behind(m, micro_batches_, choice.apart);
        const bool last = choice.closes && visits[v].layer + 1 == layers;
        const std::uint64_t lag = last ? 0 : (lags + micro_batches_ - 1 - m) / micro_batches_;
        const std::uint64_t key = static_cast<std::uint64_t>(step) * round +
                                  2 * (layer * micro_batches_ + m) +
                                  (2 * lag + 1) * visits[v].phase;
        if (key < 2 * round) places.push_back({key, visits[v].phase, step, v, m});
      }
    }
  }
  std::sort(places.begin(), places.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.key, a.phase, a.step, a.visit, a.micro_batch) <
           std::tie(b.key, b.phase, b.step, b.visit, b.micro_batch);
  });
  Order& order = orders_[server];
  for (const Entry& place : places) {
    for (const TaskId t : visits[place.visit].tasks) {
      order.turns.push_back({place.micro_batch, t, place.step});
    }
    if (place.key < round) order.cycle = order.turns.size();
  }
}

std::vector<Rotation::Choice> Rotation::choices(const Shop& shop, std::uint32_t micro_batches) {
  const bool both = shop.kernels_lag() && shop.links_lag();
  // With much to choose from, micro-batches lag alike.
  const std::uint32_t by = both || micro_batches > 4 ? micro_batches : 1;
  const std::uint32_t most = micro_batches * (micro_batches - 1);
  std::uint32_t other = 2;
  while (std::gcd(other, micro_batches) > 1) ++other;
  std::uint32_t behind = 0;
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    behind = std::max(behind, layers_behind(m, micro_batches, other));
  }
  std::vector<Choice> out;
  for (std::uint32_t k = 0; k <= (shop.kernels_lag() ? most : 0); k += by) {
    for (std::uint32_t l = 0; l <= (shop.links_lag() ? most : 0); l += by) {
      for (const std::uint32_t apart : {1U, other}) {
        if (apart > 1 && (micro_batches == 1 || behind + 1 > shop.layers())) continue;
        for (const bool closes : {false, true}) {
          if (closes && k + l == 0) continue;
          out.push_back({.kernel_lags = k, .link_lags = l, .apart = apart, .closes = closes});
        }
      }
    }
  }
  return out;
}

bool Rotation::runs() const {
  // A micro-batch stops after the last step, and others may then wait for its turns.
  constexpr std::size_t kSteps = 4;
  const auto tasks = graph_.tasks();
  std::vector<std::size_t> next(servers_.count(), 0);
  struct Progress {
    std::vector<std::uint32_t> missing;
    std::vector<bool> done;
    std::size_t sinks_left = 0;
    std::size_t steps = 0;
  };
  std::vector<Progress> lanes(micro_batches_);
  const auto begin = [&](Progress& lane) {
    lane.missing.resize(tasks.size());
    for (TaskId t = 0; t < tasks.size(); ++t) lane.missing[t] = graph_.dependencies(t);
    lane.done.assign(tasks.size(), false);
    lane.sinks_left = graph_.sinks();
  };
  for (Progress& lane : lanes) begin(lane);
  const auto is_next = [&](std::size_t server, std::uint32_t m, TaskId t) {
    const Turn& turn = this->turn(server, next[server]);
    return turn.micro_batch == m && turn.task == t;
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t s = 0; s < servers_.count(); ++s) {
      // A message is done at its sender's and its receiver's turn together.
      if (orders_[s].turns.empty() || s >= servers_.resources + servers_.instances) continue;
      for (;;) {
        const Turn& turn = this->turn(s, next[s]);
        Progress& lane = lanes[turn.micro_batch];
        if (lane.steps == kSteps || lane.missing[turn.task] > 0 || lane.done[turn.task]) break;
        if (!tasks[turn.task].on_resource) {
          const auto& message = std::get<Message>(graph_.works()[tasks[turn.task].work]);
          const std::size_t receiver = servers_.receiver(message.to);
          if (!is_next(receiver, turn.micro_batch, turn.task)) break;
          next[receiver] = place_after(receiver, next[receiver]);
        }
        next[s] = place_after(s, next[s]);
        moved = true;
        lane.done[turn.task] = true;
        const auto successors = graph_.successors(turn.task);
        for (const TaskId t : successors) --lane.missing[t];
        if (successors.empty() && --lane.sinks_left == 0) {
          ++lane.steps;
          begin(lane);
        }
      }
    }
  }
  return std::all_of(lanes.begin(), lanes.end(),
                     [](const Progress& lane) { return lane.steps + 1 >= kSteps; });
}

Rounds in_rounds(std::size_t events, std::span<const Follows> edges) {
  std::vector<std::int32_t> shift(events, 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (const Follows& e : edges) {
      if (shift[e.from] - e.steps <= shift[e.to]) continue;
      shift[e.to] = shift[e.from] - e.steps;
      moved = true;
    }
  }
  const auto back = [&](const Follows& e) {
    return static_cast<std::uint32_t>(e.steps + shift[e.to] - shift[e.from]);
  };
  std::vector<std::uint32_t> waits(events, 0);
  std::vector<std::uint32_t> incoming(events, 0);
  std::vector<std::uint32_t> first_next(events + 1, 0);  // of the events that follow at once
  Rounds out;
  for (const Follows& e : edges) {
    ++incoming[e.to];
    out.reach = std::max(out.reach, back(e));
    if (back(e) > 0) continue;
    ++waits[e.to];
    ++first_next[e.from];
  }
  std::partial_sum(first_next.begin(), first_next.end(), first_next.begin());
  std::vector<std::uint32_t> next(first_next.back());
  // Each stands at its end still; backwards, so that an event's are in their order.
  for (auto e = edges.rbegin(); e != edges.rend(); ++e) {
    if (back(*e) == 0) next[--first_next[e->from]] = e->to;
  }
  out.order.reserve(events);
  for (std::uint32_t v = 0; v < events; ++v) {
    if (waits[v] == 0) out.order.push_back(v);
  }
  for (std::size_t i = 0; i < out.order.size(); ++i) {
    const std::uint32_t from = out.order[i];
    for (std::uint32_t n = first_next[from]; n < first_next[from + 1]; ++n) {
      if (--waits[next[n]] == 0) out.order.push_back(next[n]);
    }
  }
  RIDGE_INVARIANT(out.order.size() == events, "a cycle of a rotation takes no step");
  std::vector<std::uint32_t> place(events);
  out.first.assign(events + 1, 0);
  for (std::size_t i = 0; i < events; ++i) {
    place[out.order[i]] = static_cast<std::uint32_t>(i);
    out.first[i + 1] = out.first[i] + incoming[out.order[i]];
  }
  out.edges.resize(edges.size());
  std::vector<std::uint32_t> filled(out.first.begin(), out.first.end() - 1);
  for (const Follows& e : edges) {
    out.edges[filled[place[e.to]]++] = {.from = e.from, .time = e.time, .back = back(e)};
  }
  return out;
}

namespace {

// The rounds of these, whose times are their places in the list.
Rounds rounds_of(std::size_t events, std::span<const Precedence> edges) {
  std::vector<Follows> follows;
  follows.reserve(edges.size());
  for (const Precedence& e : edges) {
    follows.push_back({.from = static_cast<std::uint32_t>(e.from),
                       .to = static_cast<std::uint32_t>(e.to),
                       .time = static_cast<std::uint32_t>(follows.size()),
                       .steps = static_cast<std::int32_t>(e.steps)});
  }
  return in_rounds(events, follows);
}

constexpr double kLeastGain = 1e-2;  // of an event, in picoseconds

// `cause`: the edge that last moved each event, edges.size() for none. The ratio of a cycle of such
// edges, if there is one.
std::optional<double> ratio_of_cycle(std::span<const Precedence> edges,
                                     std::span<const std::size_t> cause) {
  std::vector<std::size_t> seen_from(cause.size(), cause.size());
  for (std::size_t start = 0; start < cause.size(); ++start) {
    std::size_t at = start;
    while (seen_from[at] == cause.size()) {
      seen_from[at] = start;
      if (cause[at] == edges.size()) break;
      at = edges[cause[at]].from;
    }
    if (cause[at] == edges.size() || seen_from[at] != start) continue;
    double time = 0.0;
    double steps = 0.0;
    std::size_t around = at;
    do {
      time += edges[cause[around]].time;
      steps += edges[cause[around]].steps;
      around = edges[cause[around]].from;
    } while (around != at);
    return time / steps;
  }
  return std::nullopt;
}

// In an order in which what one event gains is passed on at once.
std::vector<Precedence> in_order(std::size_t events, std::span<const Precedence> edges) {
  std::vector<Precedence> out;
  out.reserve(edges.size());
  for (const Rounds::Edge& e : rounds_of(events, edges).edges) out.push_back(edges[e.time]);
  return out;
}

// The ratio of a cycle above this one, if there is any: it still gains when every step is worth so
// much.
std::optional<double> longer_cycle(std::size_t events, std::span<const Precedence> edges,
                                   double ratio) {
  std::vector<double> latest(events, 0.0);
  std::vector<std::size_t> cause(events, edges.size());
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t i = 0; i < edges.size(); ++i) {
      const Precedence& e = edges[i];
      const double at = latest[e.from] + e.time - ratio * e.steps;
      if (at <= latest[e.to] + kLeastGain) continue;
      latest[e.to] = at;
      cause[e.to] = i;
      moved = true;
    }
    const auto found = moved ? ratio_of_cycle(edges, cause) : std::nullopt;
    if (found && *found > ratio) return found;
  }
  return std::nullopt;
}

// Howard's iteration as Boost has it gives up after a hundred rounds, about once in a thousand of
// these graphs. The ratio of a cycle longer than it says is then the next guess (Dinkelbach).
double ratio_of_ordered(std::size_t events, std::span<const Precedence> edges) {
  using Graph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property,
                            boost::property<boost::edge_weight_t, double,
                                            boost::property<boost::edge_weight2_t, double>>>;
  Graph graph(events);
  for (const Precedence& e : edges) {
    boost::add_edge(e.from, e.to, {e.time, boost::property<boost::edge_weight2_t, double>(e.steps)},
                    graph);
  }
  double ratio = boost::maximum_cycle_ratio(graph, boost::get(boost::vertex_index, graph),
                                            boost::get(boost::edge_weight, graph),
                                            boost::get(boost::edge_weight2, graph));
  while (const auto longer = longer_cycle(events, edges, ratio)) ratio = *longer;
  return ratio;
}

}  // namespace

double maximum_cycle_ratio(std::size_t events, std::span<const Precedence> edges) {
  return ratio_of_ordered(events, in_order(events, edges));
}

void put_times(const StepGraph& graph, Fabric* fabric, std::size_t micro_batch,
               const StepTimes& times, std::vector<double>& picoseconds) {
  const auto works = graph.works();
  for (WorkId w = 0; w < works.size(); ++w) {
    const auto put = [&](Aspect aspect, SimTime time) {
      picoseconds[time_index(graph, micro_batch, w, aspect)] =
          static_cast<double>(time.picoseconds());
    };
    const auto* message = std::get_if<Message>(&works[w]);
    if (message == nullptr) {
      put(Aspect::service, times.slowest[w]);
      continue;
    }
    const auto parts = fabric->times({0, message->from}, {0, message->to}, times.payload_bytes[w]);
    put(Aspect::sending, parts.sending);
    put(Aspect::receiving, parts.receiving);
    put(Aspect::until_received, parts.until_first_byte + parts.receiving);
    put(Aspect::in_flight, parts.until_first_byte + parts.in_flight);
  }
}

Events::Events(const StepGraph& graph, std::uint32_t micro_batches)
    : micro_batches_(micro_batches), tasks_(graph.tasks().size()) {
  for (const Task& task : graph.tasks()) {
    number_of_message_.push_back(messages_);
    messages_ += task.on_resource ? 0 : 1;
  }
}

std::vector<Follows> precedences(const StepGraph& graph, const Events& events,
                                 std::uint32_t micro_batches, const Rotation& rotation) {
  const auto tasks = graph.tasks();
  std::vector<Follows> edges;
  const auto edge = [&](std::size_t from, std::size_t to, std::uint32_t time, std::int32_t steps) {
    edges.push_back(
        {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to), time, steps});
  };
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    for (TaskId t = 0; t < tasks.size(); ++t) {
      const auto after = [&](std::size_t event, std::uint32_t time) {
        for (const TaskId next : graph.successors(t)) edge(event, events.begins(m, next), time, 0);
        if (!graph.successors(t).empty()) return;
        for (const TaskId root : graph.roots()) edge(event, events.begins(m, root), time, 1);
      };
      const WorkId work = tasks[t].work;
      if (tasks[t].on_resource) {
        after(events.begins(m, t), time_index(graph, m, work, Aspect::service));
        continue;
      }
      edge(events.begins(m, t), events.taken(m, t),
           time_index(graph, m, work, Aspect::until_received), 0);
      after(events.begins(m, t), time_index(graph, m, work, Aspect::in_flight));
      after(events.taken(m, t), kNoTime);
    }
  }
  const RotationServers& servers = rotation.servers();
  for (std::size_t s = 0; s < servers.count(); ++s) {
    const auto cycle = rotation.cycle(s);
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const Rotation::Turn& turn = cycle[i];
      const bool last = i + 1 == cycle.size();
      const Rotation::Turn& next = cycle[last ? 0 : i + 1];
      const std::int32_t steps = next.step + (last ? 1 : 0) - turn.step;
      const WorkId work = tasks[turn.task].work;
      if (tasks[turn.task].on_resource) {
        edge(events.begins(turn.micro_batch, turn.task), events.begins(next.micro_batch, next.task),
             time_index(graph, turn.micro_batch, work, Aspect::service), steps);
      } else if (s < servers.resources + servers.instances) {
        edge(events.begins(turn.micro_batch, turn.task), events.begins(next.micro_batch, next.task),
             time_index(graph, turn.micro_batch, work, Aspect::sending), steps);
      } else {
        edge(events.taken(turn.micro_batch, turn.task), events.taken(next.micro_batch, next.task),
             time_index(graph, next.micro_batch, tasks[next.task].work, Aspect::receiving), steps);
      }
    }
  }
  return edges;
}

std::vector<Precedence> timed(std::span<const Follows> follows,
                              std::span<const double> picoseconds) {
  std::vector<Precedence> edges;
  edges.reserve(follows.size());
  for (const Follows& f : follows) {
    edges.push_back({.from = f.from,
                     .to = f.to,
                     .time = f.time == kNoTime ? 0.0 : picoseconds[f.time],
                     .steps = static_cast<double>(f.steps)});
  }
  return edges;
}

// Of the micro-batches of one replica.
static std::vector<double> times_of(const StepGraph& graph, Fabric* fabric,
                                    std::span<const Lane> lanes) {
  std::vector<double> out(lanes.size() * graph.works().size() * kAspects, 0.0);
  for (std::size_t m = 0; m < lanes.size(); ++m) put_times(graph, fabric, m, lanes[m].times, out);
  return out;
}

Seconds cycle_time(const StepGraph& graph, Fabric* fabric, std::span<const Lane> lanes,
                   const Rotation& rotation) {
  const auto micro_batches = static_cast<std::uint32_t>(lanes.size());
  const Events events(graph, micro_batches);
  const auto edges =
      timed(precedences(graph, events, micro_batches, rotation), times_of(graph, fabric, lanes));
  return Seconds{maximum_cycle_ratio(events.count(), edges) * 1e-12};
}

// What no rotation's cycle is shorter than, in picoseconds: the busiest server, and the longest
// path.
static double cycle_floor(const Shop& shop, std::uint32_t micro_batches,
                          std::span<const double> times) {
  const StepGraph& graph = shop.graph();
  const RotationServers& servers = shop.servers();
  std::vector<double> busy(servers.count(), 0.0);
  double floor = 0.0;
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    std::vector<double> start(graph.tasks().size(), 0.0);
    for (TaskId t = 0; t < graph.tasks().size(); ++t) {
      const Task& task = graph.tasks()[t];
      const auto time = [&](Aspect aspect) {
        return times[time_index(graph, m, task.work, aspect)];
      };
      double end = start[t];
      if (task.on_resource) {
        busy[task.resource] += time(Aspect::service);
        end += time(Aspect::service);
      } else {
        const auto& message = std::get<Message>(graph.works()[task.work]);
        busy[servers.sender(message.from)] += time(Aspect::sending);
        busy[servers.receiver(message.to)] += time(Aspect::receiving);
        end += std::max(time(Aspect::in_flight), time(Aspect::until_received));
      }
      floor = std::max(floor, end);
      for (const TaskId next : graph.successors(t)) start[next] = std::max(start[next], end);
    }
  }
  return std::max(floor, *std::max_element(busy.begin(), busy.end()));
}

Rotation best_rotation(const StepGraph& graph, const Deployment& d, Fabric* fabric,
                       std::span<const Lane> lanes) {
  const auto micro_batches = static_cast<std::uint32_t>(lanes.size());
  if (d.schedule == Schedule::staged) return Rotation::staged(graph, d, micro_batches);
  const Shop shop(graph, d);
  const auto choices = Rotation::choices(shop, micro_batches);
  Rotation::Choice best = choices.front();
  if (choices.size() == 1) return Rotation(shop, micro_batches, best);
  const Events events(graph, micro_batches);
  const auto times = times_of(graph, fabric, lanes);
  const double floor = cycle_floor(shop, micro_batches, times);
  constexpr double kNever = std::numeric_limits<double>::infinity();
  double shortest = kNever;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Rotation rotation(shop, micro_batches, choices[i]);
    if (i > 0 && !rotation.runs()) continue;
    const auto follows = precedences(graph, events, micro_batches, rotation);
    const auto edges = in_order(events.count(), timed(follows, times));
    constexpr double kBetter = 1.0 - 1e-9;
    if (shortest < kNever && longer_cycle(events.count(), edges, kBetter * shortest)) continue;
    double time = floor;
    while (const auto longer = longer_cycle(events.count(), edges, time)) time = *longer;
    if (time >= shortest) continue;
    shortest = time;
    best = choices[i];
    // In all others, too, longer_cycle() would find one: that of the floor.
    if (floor > kBetter * shortest + static_cast<double>(events.count()) * kLeastGain) break;
  }
  return Rotation(shop, micro_batches, best);
}

}  // namespace ridge::decode
