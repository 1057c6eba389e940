// The order of work, fixed in advance: each server and each direction of an instance's NICs serves
// the micro-batches in a rotation. Whatever the times, the order is the same, so that a step is a
// max-plus linear system: nothing that becomes faster makes it slower, and in the long run it takes
// as long as its slowest cycle.
#pragma once

#include "run_state.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::decode {

class Interconnect;

// Resources, then what instances send, then what they receive, instances numbered through the
// pools.
struct RotationServers {
  explicit RotationServers(const StepGraph& graph, const Deployment& deployment);
  [[nodiscard]] std::size_t count() const { return resources + 2 * instances; }
  [[nodiscard]] std::size_t sender(const Place& place) const {
    return resources + first_instance[place.pool] + place.instance;
  }
  [[nodiscard]] std::size_t receiver(const Place& place) const { return sender(place) + instances; }

  std::size_t resources = 0;
  std::size_t instances = 0;
  std::vector<std::size_t> first_instance;  // per pool
};

// Who does what, whatever the order: the part of rotations that all of them share.
class Shop {
 public:
  // Both must outlive this object.
  Shop(const StepGraph& graph, const Deployment& deployment);

  [[nodiscard]] const StepGraph& graph() const { return graph_; }
  [[nodiscard]] const RotationServers& servers() const { return servers_; }
  [[nodiscard]] std::uint32_t layers() const { return layers_; }
  // What a micro-batch does at a server in one go. Tasks of one depth of a layer are one visit (all
  // messages of a layer, say), and so is a task that follows its predecessor here directly.
  struct Visit {
    std::uint32_t layer = 0;
    std::uint32_t phase = 0;  // within the layer
    std::vector<TaskId> tasks;
  };
  [[nodiscard]] std::span<const Visit> visits(std::size_t server) const { return visits_[server]; }
  // Whether kernels (links) do more than one part of a layer, so that lags matter.
  [[nodiscard]] bool kernels_lag() const { return kernels_lag_; }
  [[nodiscard]] bool links_lag() const { return links_lag_; }
  [[nodiscard]] bool lags(std::size_t server) const {
    return std::any_of(visits_[server].begin(), visits_[server].end(),
                       [](const Visit& visit) { return visit.phase > 0; });
  }
  [[nodiscard]] bool is_kernels(std::size_t server) const {
    return server < servers_.resources && graph_.resources()[server].compute;
  }
  [[nodiscard]] bool is_links(std::size_t server) const {
    return server < servers_.resources && !graph_.resources()[server].compute;
  }

 private:
  struct Standing {
    std::uint32_t depth = 0;
    std::uint64_t turn = 0;  // in bytes sent before it
  };
  void stand_in_turn(std::span<Standing> standing) const;
  [[nodiscard]] std::vector<Visit> visits_of(std::span<const TaskId> tasks,
                                             std::span<const Standing> standing) const;

  const StepGraph& graph_;
  RotationServers servers_;
  std::uint32_t layers_ = 1;
  std::vector<std::vector<Visit>> visits_;  // by server
  bool kernels_lag_ = false;
  bool links_lag_ = false;
};

class Rotation {
 public:
  struct Turn {
    std::uint32_t micro_batch = 0;
    TaskId task = 0;
    std::int32_t step = 0;  // of its micro-batch; in the cycle, the first of them
  };
  // What a rotation leaves open.
  struct Choice {
    // How many micro-batches later than what it follows in a layer a server does its next part of
    // that layer, summed over the micro-batches, of which the first lag more: with as many as there
    // are micro-batches, in-node links gather for one, then scatter for the one before.
    std::uint32_t kernel_lags = 0;
    std::uint32_t link_lags = 0;
    // By how many turns the micro-batches' steps begin after each other; has no divisor with their
    // number.
    std::uint32_t apart = 1;
    bool closes = false;  // nothing lags in the last layer
    // In the first layers, where a step's micro-batches come one by one, lags are these at most.
    std::uint32_t opening_lags = kAnyLags;
  };
  static constexpr std::uint32_t kAnyLags = 0xffffffff;
  static constexpr std::uint32_t kOpeningLayers = 2;
  // Those to choose from, of which all but the first may not run. They are the same however long
  // anything takes, so that nothing that becomes faster makes the best of them slower.
  [[nodiscard]] static std::vector<Choice> choices(const Shop& shop, std::uint32_t micro_batches);

  struct Order {
    std::vector<Turn> turns;
    // Where it begins, which has every task of every micro-batch once and goes round to the end.
    std::size_t cycle = 0;
    [[nodiscard]] std::span<const Turn> around() const { return std::span(turns).subspan(cycle); }
  };
  // Of one server alone.
  [[nodiscard]] static Order order(const Shop& shop, std::size_t server,
                                   std::uint32_t micro_batches, const Choice& choice);

  // What the shop refers to must outlive this object; the shop itself need not.
  Rotation(const Shop& shop, std::uint32_t micro_batches, Choice choice);
  // Another choice, whose steps begin as far apart.
  void choose(const Shop& shop, const Choice& choice);
  // Of a deployment that goes by stages.
  [[nodiscard]] static Rotation by_stages(const StepGraph& graph, const Deployment& deployment,
                                          std::uint32_t micro_batches);

  // The turn of a server at a place of its order, which begins with 0.
  [[nodiscard]] const Turn& turn(std::size_t server, std::size_t place) const {
    return orders_[server].turns[place];
  }
  [[nodiscard]] std::size_t place_after(std::size_t server, std::size_t place) const {
    const Order& order = orders_[server];
    return place + 1 < order.turns.size() ? place + 1 : order.cycle;
  }
  [[nodiscard]] std::span<const Turn> cycle(std::size_t server) const {
    return orders_[server].around();
  }
  [[nodiscard]] const RotationServers& servers() const { return servers_; }

  // Whether all turns come: no server waits for what waits for it.
  [[nodiscard]] bool runs() const;

 private:
  Rotation(const StepGraph& graph, const Deployment& deployment, std::uint32_t micro_batches);

  const StepGraph& graph_;
  RotationServers servers_;
  std::uint32_t micro_batches_;
  std::vector<Order> orders_;
};

// What may follow a task by how much: its own time, or a part of a message's.
enum class Aspect : std::uint8_t {
  service,  // of a task on a resource
  sending,
  receiving,
  until_received,  // from its beginning to the end of its reception, never waiting
  in_flight,       // from its beginning to its last byte
};
inline constexpr std::size_t kAspects = 5;

// Where a time of a replica's step stands in a list of all.
[[nodiscard]] inline std::uint32_t time_index(const StepGraph& graph, std::size_t micro_batch,
                                              WorkId work, Aspect aspect) {
  return static_cast<std::uint32_t>((micro_batch * graph.works().size() + work) * kAspects +
                                    static_cast<std::size_t>(aspect));
}
// Puts those of one micro-batch there, in picoseconds. `interconnect`: where there are messages.
void put_times(const StepGraph& graph, Interconnect* interconnect, std::size_t micro_batch,
               const StepTimes& times, std::vector<double>& picoseconds);

// What happens in a step under a rotation: each task of each micro-batch begins, and of a message,
// its receiver has taken it in.
class Events {
 public:
  Events(const StepGraph& graph, std::uint32_t micro_batches);
  [[nodiscard]] std::size_t count() const { return micro_batches_ * (tasks_ + messages_); }
  [[nodiscard]] std::size_t begins(std::size_t micro_batch, TaskId task) const {
    return micro_batch * tasks_ + task;
  }
  [[nodiscard]] std::size_t taken(std::size_t micro_batch, TaskId message) const {
    return micro_batches_ * tasks_ + micro_batch * messages_ + number_of_message_[message];
  }

 private:
  std::size_t micro_batches_;
  std::size_t tasks_;
  std::size_t messages_ = 0;
  std::vector<std::size_t> number_of_message_;  // per task that is one
};

inline constexpr std::uint32_t kNoTime = 0xffffffff;

// `to` is at least `time` (its index) later than `from` was `steps` steps before.
struct Follows {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t time = kNoTime;
  std::int32_t steps = 0;
};
// All that a step under a rotation keeps to.
[[nodiscard]] std::vector<Follows> precedences(const StepGraph& graph, const Events& events,
                                               std::uint32_t micro_batches,
                                               const Rotation& rotation);

// The largest ratio of time to steps over the cycles of these.
[[nodiscard]] double maximum_cycle_ratio(std::size_t events, std::span<const Follows> edges,
                                         std::span<const double> picoseconds);

// The events of a rotation in an order in which each needs only earlier ones of its own round, and
// those of rounds before.
struct Rounds {
  struct Edge {
    std::uint32_t from = 0;  // event
    std::uint32_t time = kNoTime;
    std::uint32_t back = 0;  // rounds
  };
  std::vector<std::uint32_t> order;
  std::vector<std::uint32_t> first;  // edges into the event at order[i]: [first[i], first[i + 1])
  std::vector<Edge> edges;
  std::uint32_t reach = 1;  // the most rounds that an edge goes back
};
// Numbers rounds so that no edge goes to an earlier one: an event of step s belongs to round
// s + shift. There is such a numbering, since every cycle takes steps.
[[nodiscard]] Rounds in_rounds(std::size_t events, std::span<const Follows> edges);

// How long each micro-batch's step takes in the long run under a rotation: the largest ratio of
// time to steps over the cycles of what must follow what. `lanes`: the micro-batches of one
// replica; `interconnect`: where there are messages.
[[nodiscard]] Seconds cycle_time(const StepGraph& graph, Interconnect* interconnect,
                                 std::span<const Lane> lanes, const Rotation& rotation);

// The rotation that the deployment's schedule keeps: of cyclic, the one of the shortest cycle.
[[nodiscard]] Rotation best_rotation(const StepGraph& graph, const Deployment& deployment,
                                     Interconnect* interconnect, std::span<const Lane> lanes);

}  // namespace ridge::decode
