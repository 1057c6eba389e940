// The network between the instances of all replicas, as the simulation sees it.
#pragma once

#include "ridge/decode/deployment.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/des/resource.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/net/network.hpp"
#include "ridge/net/topology.hpp"
#include "rotation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace ridge::decode {

// An instance of a pool in a replica.
struct Endpoint {
  std::uint32_t replica = 0;
  Place at;
};

// GPU i of an instance talks to GPU i of another (or i mod its size) over rail i, all at once.
//
// NetworkModel::ports: an instance sends one message at a time, in order of request; a message
// starts on the network when its sender's port is free, so that receivers see messages in the order
// in which they come. NetworkModel::max_min_fair: messages start at once and share.
//
// All rails are alike where they share no link beyond the NICs: one with one GPU per instance
// stands for all of them (net::Group), exactly. Between leaf switches they do share links: every
// rail is then a transfer of its own, with its own path through the spines, and a message has
// arrived when all of them have.
class Interconnect {
 public:
  // A message on its way.
  struct Parcel {
    std::uint64_t tag = 0;
    Endpoint from;
    Endpoint to;
    double bytes = 0;  // payload of the whole instance
    des::SimTime delay;
  };

  Interconnect(const Deployment& deployment, NetworkModel model,
               std::span<const SlowLink> slow_links);

  // `sink` is told, now or later:
  //   begin(tag)                  the message leaves now
  //   deliver(SimTime, tag)       it arrives then
  //   sender_free(SimTime, port)  call sender_free(then, port)
  //   wake(SimTime)               call wake(then)
  template <class Sink>
  void send(des::SimTime now, const Parcel& parcel, Sink& sink) {
    const std::uint32_t port = port_of(parcel.from);
    if (model_ == NetworkModel::max_min_fair) {
      start(now, parcel, sink);
    } else if (senders_[port].request(now, parcel)) {
      begin(now, parcel, port, sink);
    }
  }
  template <class Sink>
  void sender_free(des::SimTime now, std::uint32_t port, Sink& sink) {
    if (rotation_ != nullptr) {
      ordered_[port].sending = false;
      send_in_turn(now, port, sink);
    } else if (Parcel next; senders_[port].complete(now, next)) {
      begin(now, next, port, sink);
    }
  }
  template <class Sink>
  void wake(des::SimTime now, Sink& sink) {
    if (every_rail_) {
      network_->wake(now, LastRail<Sink>{*this, sink});
    } else {
      network_->wake(now, sink);
    }
  }

  // Of a message on ports that nobody else uses.
  struct Times {
    des::SimTime until_first_byte;  // has arrived
    des::SimTime sending;           // keeps the sender's port
    des::SimTime receiving;         // keeps the receiver's
    des::SimTime in_flight;         // from the first byte to the last
  };
  [[nodiscard]] Times times(const Endpoint& from, const Endpoint& to, double bytes);

  // From now on instances send and receive in this order, which must outlive the interconnect. Of
  // NetworkModel::ports only: shared links keep no order.
  void keep_order(const Rotation& rotation);
  [[nodiscard]] bool keeps_order() const { return rotation_ != nullptr; }
  // Then in place of send(): the times are those of the parcel.
  template <class Sink>
  void send_in_order(des::SimTime now, const Parcel& parcel, const Times& times, Sink& sink) {
    const std::uint32_t port = port_of(parcel.from);
    ordered_[port].ready.push_back(
        {parcel.tag, port_of(parcel.to), parcel.bytes, parcel.delay, times});
    send_in_turn(now, port, sink);
  }

  void restart(des::SimTime now);
  struct Sent {
    double utilization = 0;  // share of the time that a pool's NICs send, mean over its instances
    Bytes payload;           // of all instances
  };
  // Since the last restart.
  [[nodiscard]] Sent sent(std::uint32_t pool, des::SimTime now) const;

 private:
  struct Departure {
    std::uint64_t tag = 0;
    std::uint32_t to = 0;  // port
    double bytes = 0;
    des::SimTime delay;
    Times times;
  };
  struct Arrival {
    std::uint64_t tag = 0;
    des::SimTime first_byte;
    Times times;
  };
  // What an instance sends and receives in the order of a rotation.
  struct OrderedPort {
    std::uint64_t first_lane = 0;  // of its replica
    std::size_t sender = 0;        // its servers in the rotation
    std::size_t receiver = 0;
    std::vector<Departure> ready;   // in whatever order
    std::vector<Arrival> arriving;  // likewise
    std::size_t sender_place = 0;   // in the order of each
    std::size_t receiver_place = 0;
    bool sending = false;
    des::SimTime free_at;  // to receive
    des::SimTime sending_time;
    double payload = 0;
  };

  template <class Sink>
  void send_in_turn(des::SimTime now, std::uint32_t port, Sink& sink) {
    OrderedPort& from = ordered_[port];
    if (from.sending) return;
    const auto next = in_turn(from.ready, from.first_lane, from.sender, from.sender_place);
    if (next == from.ready.end()) return;
    const Departure parcel = take(from.ready, next);
    from.sender_place = rotation_->place_after(from.sender, from.sender_place);
    from.sending = true;
    sink.begin(parcel.tag);
    const Times& took = parcel.times;
    from.sending_time += took.sending;
    from.payload += parcel.bytes;
    sink.sender_free(now + took.sending, port);
    ordered_[parcel.to].arriving.push_back(
        {parcel.tag, now + took.until_first_byte + parcel.delay, took});
    receive_in_turn(parcel.to, sink);
  }
  template <class Sink>
  void receive_in_turn(std::uint32_t port, Sink& sink) {
    OrderedPort& to = ordered_[port];
    for (;;) {
      const auto next = in_turn(to.arriving, to.first_lane, to.receiver, to.receiver_place);
      if (next == to.arriving.end()) return;
      const Arrival arrival = take(to.arriving, next);
      to.receiver_place = rotation_->place_after(to.receiver, to.receiver_place);
      to.free_at = std::max(arrival.first_byte, to.free_at) + arrival.times.receiving;
      sink.deliver(std::max(arrival.first_byte + arrival.times.in_flight, to.free_at), arrival.tag);
    }
  }
  template <class Waiting>
  [[nodiscard]] auto in_turn(std::vector<Waiting>& waiting, std::uint64_t first_lane,
                             std::size_t server, std::size_t place) const {
    const Rotation::Turn& turn = rotation_->turn(server, place);
    const std::uint64_t tag = (first_lane + turn.micro_batch) << 32U | turn.task;
    return std::find_if(waiting.begin(), waiting.end(),
                        [tag](const Waiting& one) { return one.tag == tag; });
  }
  template <class Waiting>
  static Waiting take(std::vector<Waiting>& waiting, typename std::vector<Waiting>::iterator one) {
    const Waiting taken = *one;
    *one = waiting.back();
    waiting.pop_back();
    return taken;
  }

  template <class Sink>
  void begin(des::SimTime now, const Parcel& parcel, std::uint32_t port, Sink& sink) {
    start(now, parcel, sink);
    const double seconds =
        flow_bytes(parcel) * flows_per_sender(parcel) / port_rate_[parcel.from.at.pool];
    sink.sender_free(now + des::SimTime::from(Seconds{seconds * slowness_[port]}), port);
  }

  // Tells of a message when its last rail has arrived.
  template <class Sink>
  struct LastRail {
    Interconnect& interconnect;
    Sink& sink;

    void deliver(des::SimTime when, std::uint64_t tag) {
      const auto found = interconnect.under_way_.find(tag);
      UnderWay& message = found->second;
      message.latest = std::max(message.latest, when);
      if (--message.rails > 0) return;
      sink.deliver(message.latest, tag);
      interconnect.under_way_.erase(found);
    }
    void wake(des::SimTime when) { sink.wake(when); }
  };

  template <class Sink>
  void start_rails(des::SimTime now, const Parcel& parcel, Sink& sink) {
    const std::uint32_t from = port_of(parcel.from) - first_port_[parcel.from.at.pool];
    const std::uint32_t to = port_of(parcel.to) - first_port_[parcel.to.at.pool];
    const std::uint32_t senders = gpus_[parcel.from.at.pool];
    const std::uint32_t receivers = gpus_[parcel.to.at.pool];
    under_way_[parcel.tag] = {.rails = flows(parcel), .latest = now};
    LastRail<Sink> last{*this, sink};
    for (std::uint32_t rail = 0; rail < flows(parcel); ++rail) {
      net::Transfer transfer;
      transfer.route =
          network_->route(first_gpu_[parcel.from.at.pool] + from * senders + rail % senders,
                          first_gpu_[parcel.to.at.pool] + to * receivers + rail % receivers);
      transfer.transport = transport_;
      transfer.bytes = static_cast<std::uint64_t>(std::llround(flow_bytes(parcel)));
      transfer.tag = parcel.tag;
      transfer.delay = parcel.delay;
      network_->start(now, transfer, last);
    }
  }

  template <class Sink>
  void start(des::SimTime now, const Parcel& parcel, Sink& sink) {
    sink.begin(parcel.tag);
    if (every_rail_) {
      start_rails(now, parcel, sink);
      return;
    }
    net::Transfer transfer;
    transfer.route = network_->route(port_of(parcel.from), port_of(parcel.to));
    transfer.transport = transport_;
    transfer.bytes = static_cast<std::uint64_t>(std::llround(flow_bytes(parcel)));
    transfer.tag = parcel.tag;
    transfer.delay = parcel.delay;
    transfer.group = {.per_source = flows_per_sender(parcel),
                      .per_destination = flows_per_receiver(parcel),
                      .copies = flows(parcel)};
    network_->start(now, transfer, sink);
  }

  [[nodiscard]] std::uint32_t port_of(const Endpoint& endpoint) const {
    return first_port_[endpoint.at.pool] +
           endpoint.replica * static_cast<std::uint32_t>(instances_[endpoint.at.pool]) +
           endpoint.at.instance;
  }
  [[nodiscard]] std::uint32_t flows(const Parcel& m) const {
    return std::max(gpus_[m.from.at.pool], gpus_[m.to.at.pool]);
  }
  [[nodiscard]] double flow_bytes(const Parcel& m) const { return m.bytes / flows(m); }
  // A pool with fewer GPUs gives each of them several partners.
  [[nodiscard]] std::uint32_t flows_per_sender(const Parcel& m) const {
    return flows(m) / gpus_[m.from.at.pool];
  }
  [[nodiscard]] std::uint32_t flows_per_receiver(const Parcel& m) const {
    return flows(m) / gpus_[m.to.at.pool];
  }

  static net::Topology topology_of(const Deployment& deployment, bool every_rail);
  // NICs that the topology has for an instance of a pool.
  [[nodiscard]] std::uint32_t nics(std::uint32_t pool) const {
    return every_rail_ ? gpus_[pool] : 1;
  }

  NetworkModel model_;
  bool every_rail_;
  std::vector<std::uint32_t> gpus_;  // per pool: of an instance
  std::vector<std::uint32_t> instances_;
  std::vector<std::uint32_t> first_port_;  // per pool, and the number of all
  std::vector<double> port_rate_;          // per pool: bytes/s of payload on one NIC direction
  double efficiency_;                      // payload bytes per byte on the wire
  std::vector<double> slowness_;           // per port
  std::vector<des::Resource<Parcel>> senders_;
  net::Topology topology_;
  std::vector<net::LinkId> sending_links_;  // per port and NIC
  std::vector<std::uint32_t> first_nic_;    // per port
  std::vector<std::uint32_t> first_gpu_;    // per pool, where every rail has one
  struct UnderWay {
    std::uint32_t rails = 0;
    des::SimTime latest;
  };
  std::unordered_map<std::uint64_t, UnderWay> under_way_;  // messages, by tag
  std::optional<net::Network> network_;                    // once the slow links are known
  net::TransportId transport_ = 0;
  des::SimTime overhead_;
  const Rotation* rotation_ = nullptr;
  std::uint64_t micro_batches_ = 1;
  std::vector<OrderedPort> ordered_;  // per port, under a rotation
  des::SimTime measured_from_;
};

}  // namespace ridge::decode
