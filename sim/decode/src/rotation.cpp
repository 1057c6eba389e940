#include "rotation.hpp"

#include "interconnect.hpp"
#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
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
    kernels_lag_ = kernels_lag_ || (lags(s) && is_kernels(s));
    links_lag_ = links_lag_ || (lags(s) && is_links(s));
  }
}

Rotation::Rotation(const Shop& shop, std::uint32_t micro_batches, Choice choice)
    : graph_(shop.graph()), servers_(shop.servers()), micro_batches_(micro_batches) {
  for (std::size_t s = 0; s < servers_.count(); ++s) {
    orders_.push_back(order(shop, s, micro_batches, choice));
  }
}

Rotation::Rotation(const StepGraph& graph, const Deployment& deployment,
                   std::uint32_t micro_batches)
    : graph_(graph),
      servers_(graph, deployment),
      micro_batches_(micro_batches),
      orders_(servers_.count()) {}

Rotation Rotation::by_stages(const StepGraph& graph, const Deployment& deployment,
                             std::uint32_t micro_batches) {
  Rotation out(graph, deployment, micro_batches);
  const auto tasks = graph.tasks();
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    for (TaskId t = 0; t < tasks.size(); ++t) {
      RIDGE_INVARIANT(tasks[t].on_resource, "stages send no messages between instances");
      out.orders_[tasks[t].resource].turns.push_back({.micro_batch = m, .task = t});
    }
  }
  const std::uint32_t apart = stages_apart(*deployment.schedule);
  const auto when = [&](const Turn& turn) {
    return tasks[turn.task].stage + apart * turn.micro_batch;
  };
  for (Order& order : out.orders_) {
    std::stable_sort(order.turns.begin(), order.turns.end(),
                     [&](const Turn& a, const Turn& b) { return when(a) < when(b); });
  }
  return out;
}

void Rotation::choose(const Shop& shop, const Choice& choice) {
  for (std::size_t s = 0; s < servers_.count(); ++s) {
    if (shop.lags(s)) orders_[s] = order(shop, s, micro_batches_, choice);
  }
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

Rotation::Order Rotation::order(const Shop& shop, std::size_t server, std::uint32_t micro_batches,
                                const Choice& choice) {
  Order order;
  const auto visits = shop.visits(server);
  if (visits.empty()) return order;
  const std::uint32_t lags = shop.is_kernels(server) ? choice.kernel_lags
                             : shop.is_links(server) ? choice.link_lags
                                                     : 0;
  std::vector<std::uint32_t> behind(micro_batches);
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    behind[m] = layers_behind(m, micro_batches, choice.apart);
  }
  std::uint32_t last_phase = 0;
  for (const Shop::Visit& visit : visits) last_phase = std::max(last_phase, visit.phase);
  // The LM head counts as part of the layer after the last, which is the first of the next step:
  // a micro-batch goes on from one to the other.
  struct Entry {
    std::uint64_t key;
    std::int32_t step;
    std::uint32_t visit;
    std::uint32_t micro_batch;
  };
  // Two places for each micro-batch's turn at a layer, so that a second phase falls between the
  // first ones of others and they alternate all the way, over the ends of layers too.
  const std::uint64_t round = 2 * std::uint64_t{shop.layers()} * micro_batches;
  std::vector<Entry> entries;  // those of one key in the order in which they are served
  for (std::uint32_t phase = 0; phase <= last_phase; ++phase) {
    for (std::int32_t step = 0; step < 3; ++step) {
      for (std::uint32_t v = 0; v < visits.size(); ++v) {
        if (visits[v].phase != phase) continue;
        const std::uint32_t all = choice.closes && visits[v].layer + 1 == shop.layers() ? 0
                                  : visits[v].layer < kOpeningLayers
                                      ? std::min(lags, choice.opening_lags)
                                      : lags;
        for (std::uint32_t m = 0; m < micro_batches; ++m) {
          const std::uint64_t layer = std::uint64_t{visits[v].layer} + behind[m];
          const std::uint64_t lag = (all + micro_batches - 1 - m) / micro_batches;
          const std::uint64_t key = static_cast<std::uint64_t>(step) * round +
                                    2 * (layer * micro_batches + m) + (2 * lag + 1) * phase;
          if (key < 2 * round) entries.push_back({key, step, v, m});
        }
      }
    }
  }
  std::vector<std::uint32_t> place(2 * round + 1, 0);  // of the first entry of each key
  for (const Entry& entry : entries) ++place[entry.key + 1];
  std::partial_sum(place.begin(), place.end(), place.begin());
  const std::uint32_t before_cycle = place[round];
  std::vector<const Entry*> sorted(entries.size());
  for (const Entry& entry : entries) sorted[place[entry.key]++] = &entry;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i == before_cycle) order.cycle = order.turns.size();
    const Entry& entry = *sorted[i];
    for (const TaskId t : visits[entry.visit].tasks) {
      order.turns.push_back({entry.micro_batch, t, entry.step});
    }
  }
  return order;
}

std::vector<Rotation::Choice> Rotation::choices(const Shop& shop, std::uint32_t micro_batches) {
  const bool both = shop.kernels_lag() && shop.links_lag();
  // With much to choose from, micro-batches lag alike. Not so of two in wide expert parallelism:
  // that one lags and the other does not is the order in which either's messages hide behind the
  // other.
  const bool alike = micro_batches > (both ? 2 : 4);
  const std::uint32_t by = alike ? micro_batches : 1;
  const std::uint32_t most = micro_batches * (micro_batches - 1);
  std::uint32_t other = 2;
  while (std::gcd(other, micro_batches) > 1) ++other;
  std::uint32_t behind = 0;
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    behind = std::max(behind, layers_behind(m, micro_batches, other));
  }
  std::vector<Choice> out;
  const auto add = [&](std::uint32_t kernels, std::uint32_t links, std::uint32_t opening) {
    for (const std::uint32_t apart : {1U, other}) {
      if (apart > 1 && (micro_batches == 1 || behind + 1 > shop.layers())) continue;
      for (const bool closes : {false, true}) {
        if (closes && kernels + links == 0) continue;
        out.push_back({.kernel_lags = kernels,
                       .link_lags = links,
                       .apart = apart,
                       .closes = closes,
                       .opening_lags = opening});
      }
    }
  };
  const std::uint32_t most_kernels = shop.kernels_lag() ? most : 0;
  const std::uint32_t most_links = shop.links_lag() ? most : 0;
  for (std::uint32_t k = 0; k <= most_kernels; k += by) {
    for (std::uint32_t l = 0; l <= most_links; l += by) add(k, l, kAnyLags);
  }
  // Where parts of a layer alternate, or nearly.
  if (shop.layers() <= kOpeningLayers) return out;
  const std::uint32_t alternating = micro_batches;
  for (std::uint32_t lags = alternating - (alike ? 0 : 1); lags <= alternating; ++lags) {
    const std::uint32_t kernels = std::min(lags, most_kernels);
    const std::uint32_t links = std::min(lags, most_links);
    for (std::uint32_t opening = 0; opening < std::max(kernels, links); opening += by) {
      add(kernels, links, opening);
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

namespace {

// None where a cycle takes no step. `runs` tells whether that can be, where it takes long to see.
template <class Runs>
std::optional<Rounds> rounds_of(std::size_t events, std::span<const Follows> edges, Runs&& runs) {
  constexpr int kManySweeps = 16;
  std::vector<std::int32_t> shift(events, 0);
  int sweeps = 0;
  for (bool moved = true; moved;) {
    moved = false;
    if (++sweeps == kManySweeps && !runs()) return std::nullopt;
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
  if (out.order.size() != events) return std::nullopt;
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

}  // namespace

Rounds in_rounds(std::size_t events, std::span<const Follows> edges) {
  auto rounds = rounds_of(events, edges, [] { return true; });
  RIDGE_INVARIANT(rounds, "a cycle of a rotation takes no step");
  return *std::move(rounds);
}

namespace {

constexpr double kLeastGain = 1e-2;  // of an event, in picoseconds
constexpr double kNever = std::numeric_limits<double>::infinity();

// `to` is at least `time` later than `from` of `steps` steps before.
struct Precedence {
  std::size_t from = 0;
  std::size_t to = 0;
  double time = 0;
  double steps = 0;
};

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
    // What waits for itself in the same step never happens.
    return steps > 0.0 ? time / steps : kNever;
  }
  return std::nullopt;
}

// In an order in which what one event gains is passed on at once. Their steps are rounds here, of
// which every cycle has as many.
std::vector<Precedence> in_order(const Rounds& rounds, std::span<const double> picoseconds) {
  std::vector<Precedence> out;
  out.reserve(rounds.edges.size());
  for (std::size_t i = 0; i < rounds.order.size(); ++i) {
    for (std::uint32_t e = rounds.first[i]; e < rounds.first[i + 1]; ++e) {
      const Rounds::Edge& edge = rounds.edges[e];
      out.push_back({.from = edge.from,
                     .to = rounds.order[i],
                     .time = edge.time == kNoTime ? 0.0 : picoseconds[edge.time],
                     .steps = static_cast<double>(edge.back)});
    }
  }
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

double maximum_cycle_ratio(std::size_t events, std::span<const Follows> edges,
                           std::span<const double> picoseconds) {
  return ratio_of_ordered(events, in_order(in_rounds(events, edges), picoseconds));
}

void put_times(const StepGraph& graph, Interconnect* interconnect, std::size_t micro_batch,
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
    const auto parts =
        interconnect->times({0, message->from}, {0, message->to}, times.payload_bytes[w]);
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

namespace {

Follows follows(std::size_t from, std::size_t to, std::uint32_t time, std::int32_t steps) {
  return {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to), time, steps};
}

// What each micro-batch keeps to by itself, whatever the order.
void add_dependencies(const StepGraph& graph, const Events& events, std::uint32_t micro_batches,
                      std::vector<Follows>& edges) {
  const auto tasks = graph.tasks();
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    for (TaskId t = 0; t < tasks.size(); ++t) {
      const auto after = [&](std::size_t event, std::uint32_t time) {
        for (const TaskId next : graph.successors(t)) {
          edges.push_back(follows(event, events.begins(m, next), time, 0));
        }
        if (!graph.successors(t).empty()) return;
        for (const TaskId root : graph.roots()) {
          edges.push_back(follows(event, events.begins(m, root), time, 1));
        }
      };
      const WorkId work = tasks[t].work;
      if (tasks[t].on_resource) {
        after(events.begins(m, t), time_index(graph, m, work, Aspect::service));
        continue;
      }
      edges.push_back(follows(events.begins(m, t), events.taken(m, t),
                              time_index(graph, m, work, Aspect::until_received), 0));
      after(events.begins(m, t), time_index(graph, m, work, Aspect::in_flight));
      after(events.taken(m, t), kNoTime);
    }
  }
}

// What the servers' order adds.
void add_turns(const StepGraph& graph, const Events& events, const Rotation& rotation,
               std::vector<Follows>& edges) {
  const auto tasks = graph.tasks();
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
        edges.push_back(follows(events.begins(turn.micro_batch, turn.task),
                                events.begins(next.micro_batch, next.task),
                                time_index(graph, turn.micro_batch, work, Aspect::service), steps));
      } else if (s < servers.resources + servers.instances) {
        edges.push_back(follows(events.begins(turn.micro_batch, turn.task),
                                events.begins(next.micro_batch, next.task),
                                time_index(graph, turn.micro_batch, work, Aspect::sending), steps));
      } else {
        edges.push_back(follows(
            events.taken(turn.micro_batch, turn.task), events.taken(next.micro_batch, next.task),
            time_index(graph, next.micro_batch, tasks[next.task].work, Aspect::receiving), steps));
      }
    }
  }
}

}  // namespace

std::vector<Follows> precedences(const StepGraph& graph, const Events& events,
                                 std::uint32_t micro_batches, const Rotation& rotation) {
  std::vector<Follows> edges;
  add_dependencies(graph, events, micro_batches, edges);
  add_turns(graph, events, rotation, edges);
  return edges;
}

// Of the micro-batches of one replica.
static std::vector<double> times_of(const StepGraph& graph, Interconnect* interconnect,
                                    std::span<const Lane> lanes) {
  std::vector<double> out(lanes.size() * graph.works().size() * kAspects, 0.0);
  for (std::size_t m = 0; m < lanes.size(); ++m)
    put_times(graph, interconnect, m, lanes[m].times, out);
  return out;
}

Seconds cycle_time(const StepGraph& graph, Interconnect* interconnect, std::span<const Lane> lanes,
                   const Rotation& rotation) {
  const auto micro_batches = static_cast<std::uint32_t>(lanes.size());
  const Events events(graph, micro_batches);
  const auto edges = precedences(graph, events, micro_batches, rotation);
  return Seconds{maximum_cycle_ratio(events.count(), edges, times_of(graph, interconnect, lanes)) *
                 1e-12};
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

namespace {

// A part of what rotations keep to in which they differ most: the server with most work of those
// that do several parts of a layer, and how long each micro-batch takes from one of its tasks to
// the next by itself. A cycle in it is a cycle of the whole, found with a small part of the work.
class LaggingServer {
 public:
  LaggingServer(const Shop& shop, std::uint32_t micro_batches, std::span<const double> times)
      : shop_(shop), micro_batches_(micro_batches), times_(times) {
    const auto tasks = shop.graph().tasks();
    double most = 0.0;
    for (std::size_t s = 0; s < shop.servers().resources; ++s) {
      if (!shop.lags(s)) continue;
      double busy = 0.0;
      for (TaskId t = 0; t < tasks.size(); ++t) {
        if (tasks[t].on_resource && tasks[t].resource == s) busy += service(0, t);
      }
      if (busy <= most) continue;
      most = busy;
      server_ = s;
    }
    if (!server_) return;
    before_.resize(tasks.size());
    for (std::size_t s = 0; s < shop.servers().count(); ++s) {
      const bool receives = s >= shop.servers().resources + shop.servers().instances;
      for (const Shop::Visit& visit : shop.visits(s)) {
        for (std::size_t i = 1; i < visit.tasks.size(); ++i) {
          Before& before = before_[visit.tasks[i]];
          (receives ? before.received : before.served) = visit.tasks[i - 1];
        }
      }
    }
    place_.resize(micro_batches * tasks.size());
    number_of_.resize(micro_batches * tasks.size());
    first_next_.push_back(0);
    for (std::uint32_t m = 0; m < micro_batches; ++m) add_ways(m);
  }

  // Whether this choice has a cycle longer than that.
  [[nodiscard]] bool is_longer(const Rotation::Choice& choice, double ratio) {
    if (!server_) return false;
    const auto order = Rotation::order(shop_, *server_, micro_batches_, choice);
    const auto cycle = order.around();
    edges_.clear();
    for (std::size_t i = 0; i < cycle.size(); ++i) place_[index(cycle[i])] = i;
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const Rotation::Turn& turn = cycle[i];
      const bool last = i + 1 == cycle.size();
      const Rotation::Turn& next = cycle[last ? 0 : i + 1];
      edges_.push_back({.from = i,
                        .to = place_[index(next)],
                        .time = service(turn.micro_batch, turn.task),
                        .steps = static_cast<double>(next.step + (last ? 1 : 0) - turn.step)});
      const std::size_t at = number_of_[index(turn)];
      for (std::uint32_t n = first_next_[at]; n < first_next_[at + 1]; ++n) {
        edges_.push_back({.from = i,
                          .to = place_[turn.micro_batch * tasks() + ways_[n].to],
                          .time = ways_[n].time,
                          .steps = ways_[n].steps});
      }
    }
    return longer_cycle(cycle.size(), edges_, ratio).has_value();
  }

 private:
  struct Way {
    TaskId to = 0;
    double time = 0;
    double steps = 0;
  };
  [[nodiscard]] std::size_t tasks() const { return shop_.graph().tasks().size(); }
  [[nodiscard]] std::size_t index(const Rotation::Turn& turn) const {
    return turn.micro_batch * tasks() + turn.task;
  }
  [[nodiscard]] double time(std::uint32_t m, TaskId t, Aspect aspect) const {
    return times_[time_index(shop_.graph(), m, shop_.graph().tasks()[t].work, aspect)];
  }
  [[nodiscard]] double service(std::uint32_t m, TaskId t) const {
    return time(m, t, Aspect::service);
  }

  // From the tasks of each visit to those of the next.
  void add_ways(std::uint32_t m) {
    const auto visits = shop_.visits(*server_);
    constexpr double kUnknown = -1.0;
    std::vector<double> begin(tasks(), kUnknown);
    std::vector<double> taken(tasks(), 0.0);  // of messages whose begin is known
    TaskId touched = 0;                       // the last whose begin is known
    const auto known = [&](TaskId before, TaskId t) {
      return before < t && begin[before] != kUnknown;
    };
    const auto end_of = [&](TaskId t) {
      const Before& before = before_[t];
      const bool on_resource = shop_.graph().tasks()[t].on_resource;
      if (known(before.served, t)) {
        const Aspect aspect = on_resource ? Aspect::service : Aspect::sending;
        begin[t] = std::max(begin[t], begin[before.served] + time(m, before.served, aspect));
      }
      if (on_resource) return begin[t] + service(m, t);
      taken[t] = begin[t] + time(m, t, Aspect::until_received);
      if (known(before.received, t)) {
        taken[t] = std::max(taken[t], taken[before.received] + time(m, t, Aspect::receiving));
      }
      return std::max(taken[t], begin[t] + time(m, t, Aspect::in_flight));
    };
    // Goes on from those that are known, up to `end`.
    const auto reach = [&](TaskId first, TaskId end) {
      double latest = 0.0;
      for (TaskId t = first; t < end; ++t) {
        if (begin[t] == kUnknown) continue;
        const double done = end_of(t);
        const auto successors = shop_.graph().successors(t);
        if (successors.empty()) latest = std::max(latest, done);
        for (const TaskId next : successors) {
          begin[next] = std::max(begin[next], done);
          touched = std::max(touched, next);
        }
      }
      return latest;
    };
    // From a step's begin to each task of the first visit.
    for (const TaskId root : shop_.graph().roots()) begin[root] = 0.0;
    reach(0, static_cast<TaskId>(tasks()));
    std::vector<double> after_begin;
    for (const TaskId t : visits.front().tasks) after_begin.push_back(begin[t]);
    std::fill(begin.begin(), begin.end(), kUnknown);
    for (std::size_t v = 0; v < visits.size(); ++v) {
      const bool last = v + 1 == visits.size();
      const auto& to = visits[last ? 0 : v + 1].tasks;
      const TaskId end =
          last ? static_cast<TaskId>(tasks()) : *std::max_element(to.begin(), to.end()) + 1;
      for (const TaskId from : visits[v].tasks) {
        begin[from] = 0.0;
        touched = from;
        const double until_end = reach(from, end);
        number_of_[m * tasks() + from] = static_cast<std::uint32_t>(first_next_.size() - 1);
        for (std::size_t i = 0; i < to.size(); ++i) {
          if (last) {
            ways_.push_back({to[i], until_end + after_begin[i], 1.0});
          } else if (begin[to[i]] != kUnknown) {
            ways_.push_back({to[i], begin[to[i]], 0.0});
          }
        }
        first_next_.push_back(static_cast<std::uint32_t>(ways_.size()));
        std::fill(begin.begin() + from, begin.begin() + touched + 1, kUnknown);
      }
    }
  }

  // The tasks that a server does just before this one, in one go.
  struct Before {
    TaskId served = kNoTask;  // by a resource, or sent
    TaskId received = kNoTask;
  };

  const Shop& shop_;
  std::uint32_t micro_batches_;
  std::span<const double> times_;
  std::optional<std::size_t> server_;
  std::vector<Before> before_;             // by task
  std::vector<std::uint32_t> number_of_;   // of its tasks, by micro-batch and task
  std::vector<std::uint32_t> first_next_;  // by number
  std::vector<Way> ways_;
  std::vector<std::size_t> place_;  // in the cycle, by micro-batch and task
  std::vector<Precedence> edges_;
};

}  // namespace

Rotation best_rotation(const StepGraph& graph, const Deployment& d, Interconnect* interconnect,
                       std::span<const Lane> lanes) {
  const auto micro_batches = static_cast<std::uint32_t>(lanes.size());
  if (d.schedule && goes_by_stages(*d.schedule)) {
    return Rotation::by_stages(graph, d, micro_batches);
  }
  const Shop shop(graph, d);
  const auto choices = Rotation::choices(shop, micro_batches);
  if (choices.size() == 1) return Rotation(shop, micro_batches, choices.front());
  const Events events(graph, micro_batches);
  const auto times = times_of(graph, interconnect, lanes);
  const double floor = cycle_floor(shop, micro_batches, times);
  LaggingServer lagging(shop, micro_batches, times);
  // Those first in which parts of a layer alternate: mostly the best is among them, and others are
  // soon seen to be longer. That decides nothing: of those that are as short as each other the
  // first choice is taken, whichever was tried first.
  std::vector<std::size_t> in_turn(choices.size());
  std::iota(in_turn.begin(), in_turn.end(), std::size_t{0});
  std::stable_sort(in_turn.begin(), in_turn.end(), [&](std::size_t a, std::size_t b) {
    const auto off = [&](std::uint32_t lags) {
      return lags > micro_batches ? lags - micro_batches : micro_batches - lags;
    };
    const auto both = [&](const Rotation::Choice& choice) {
      return (shop.kernels_lag() ? off(choice.kernel_lags) : 0) +
             (shop.links_lag() ? off(choice.link_lags) : 0);
    };
    return both(choices[a]) < both(choices[b]);
  });
  std::vector<Follows> follows;
  add_dependencies(graph, events, micro_batches, follows);
  const std::size_t dependencies = follows.size();
  std::map<std::uint32_t, Rotation> by_apart;
  constexpr double kAlike = 1e-9;
  double shortest = kNever;
  std::size_t best = 0;
  for (const std::size_t i : in_turn) {
    const double limit = shortest * (i < best ? 1.0 + kAlike : 1.0 - kAlike);
    // In all others, too, longer_cycle() would find one: that of the floor.
    if (floor > limit + static_cast<double>(events.count()) * kLeastGain) continue;
    if (shortest < kNever && lagging.is_longer(choices[i], limit)) continue;
    const auto [known, added] =
        by_apart.try_emplace(choices[i].apart, shop, micro_batches, choices[i]);
    Rotation& rotation = known->second;
    if (!added) rotation.choose(shop, choices[i]);
    follows.resize(dependencies);
    add_turns(graph, events, rotation, follows);
    const auto rounds = rounds_of(events.count(), follows, [&] { return rotation.runs(); });
    if (!rounds) continue;
    const auto edges = in_order(*rounds, times);
    if (shortest < kNever && longer_cycle(events.count(), edges, limit)) continue;
    double time = floor;
    while (const auto longer = longer_cycle(events.count(), edges, time)) time = *longer;
    if (time >= limit || (i > 0 && !rotation.runs())) continue;
    shortest = time;
    best = i;
  }
  return Rotation(shop, micro_batches, choices[best]);
}

}  // namespace ridge::decode
