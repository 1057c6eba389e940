// The order of work, fixed in advance: each server and each direction of an instance's NICs serves
// the micro-batches in a rotation. Whatever the times, the order is the same, so that a step is a
// max-plus linear system: nothing that becomes faster makes it slower, and in the long run it takes
// as long as its slowest cycle.
#pragma once

#include "run_state.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace ridge::decode {

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

class Fabric;

class Rotation {
 public:
  struct Turn {
    std::uint32_t micro_batch = 0;
    TaskId task = 0;
    std::int32_t step = 0;  // of its micro-batch; in the cycle, the first of them
  };
  // How many micro-batches later than what it follows in a layer a server does its next part of
  // that layer: with 1, in-node links gather for one micro-batch, then scatter for the one before.
  struct Lags {
    std::uint32_t kernels = 0;
    std::uint32_t links = 0;
  };

  Rotation(const StepGraph& graph, const Deployment& deployment, std::uint32_t micro_batches,
           Lags lags);

  // The n-th turn of a server.
  [[nodiscard]] const Turn& turn(std::size_t server, std::size_t n) const {
    const Order& order = orders_[server];
    return n < order.first.size() ? order.first[n]
                                  : order.cycle[(n - order.first.size()) % order.cycle.size()];
  }
  [[nodiscard]] std::span<const Turn> cycle(std::size_t server) const {
    return orders_[server].cycle;
  }
  [[nodiscard]] const RotationServers& servers() const { return servers_; }

  // Whether a server ever does more than one part of a layer, so that its lag matters.
  [[nodiscard]] bool kernels_lag() const { return kernels_lag_; }
  [[nodiscard]] bool links_lag() const { return links_lag_; }
  // Whether all turns come: no server waits for what waits for it.
  [[nodiscard]] bool runs() const;

 private:
  struct Order {
    std::vector<Turn> first;  // before the cycle
    std::vector<Turn> cycle;  // every task of every micro-batch once
  };
  struct Standing {
    std::uint32_t depth = 0;
    std::uint32_t turn = 0;
  };
  void order_server(std::size_t server, std::span<const TaskId> tasks,
                    std::span<const Standing> standing, std::uint32_t layers, std::uint32_t lag,
                    bool& lags);

  const StepGraph& graph_;
  RotationServers servers_;
  std::uint32_t micro_batches_;
  std::vector<Order> orders_;
  bool kernels_lag_ = false;
  bool links_lag_ = false;
};

// `to` is at least `time` later than `from` of `steps` steps before.
struct Precedence {
  std::size_t from = 0;
  std::size_t to = 0;
  double time = 0;
  double steps = 0;
};
// The largest ratio of time to steps over the cycles of these.
[[nodiscard]] double maximum_cycle_ratio(std::size_t events, std::span<const Precedence> edges);

// How long each micro-batch's step takes in the long run under a rotation: the largest ratio of
// time to steps over the cycles of what must follow what. `lanes`: the micro-batches of one
// replica; `fabric`: where there are messages.
[[nodiscard]] Seconds cycle_time(const StepGraph& graph, Fabric* fabric,
                                 std::span<const Lane> lanes, const Rotation& rotation);

// The rotation of the lags that give the shortest cycle.
[[nodiscard]] Rotation best_rotation(const StepGraph& graph, const Deployment& deployment,
                                     Fabric* fabric, std::span<const Lane> lanes);

}  // namespace ridge::decode
