// The network between the instances of all replicas, as the simulation sees it.
#pragma once

#include "ridge/decode/deployment.hpp"
#include "ridge/decode/simulation.hpp"
#include "ridge/des/resource.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/net/network.hpp"
#include "ridge/net/topology.hpp"

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

// An instance of a pool in a replica.
struct Endpoint {
  std::uint32_t replica = 0;
  Place at;
};

// GPU i of an instance talks to GPU i of another (or i mod its size) over rail i, all rails alike
// and at once: one rail with one GPU per instance stands for all of them (net::Group), exactly.
//
// NetworkModel::ports: an instance sends one message at a time, in order of request; a message
// starts on the network when its sender's port is free, so that receivers see messages in the order
// in which they come. NetworkModel::max_min_fair: messages start at once and share.
class Fabric {
 public:
  // A message on its way.
  struct Parcel {
    std::uint64_t tag = 0;
    Endpoint from;
    Endpoint to;
    double bytes = 0;  // payload of the whole instance
    des::SimTime delay;
  };

  Fabric(const Deployment& deployment, NetworkModel model, std::span<const SlowLink> slow_links);

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
    if (const auto next = senders_[port].complete(now)) begin(now, *next, port, sink);
  }
  template <class Sink>
  void wake(des::SimTime now, Sink& sink) {
    network_->wake(now, sink);
  }

  void restart(des::SimTime now);
  struct Sent {
    double utilization = 0;  // share of the time that a pool's NICs send, mean over its instances
    Bytes payload;           // of all instances
  };
  // Since the last restart.
  [[nodiscard]] Sent sent(std::uint32_t pool, des::SimTime now) const;

 private:
  template <class Sink>
  void begin(des::SimTime now, const Parcel& parcel, std::uint32_t port, Sink& sink) {
    start(now, parcel, sink);
    const double seconds =
        flow_bytes(parcel) * flows_per_sender(parcel) / port_rate_[parcel.from.at.pool];
    sink.sender_free(now + des::SimTime::from(Seconds{seconds * slowness_[port]}), port);
  }

  template <class Sink>
  void start(des::SimTime now, const Parcel& parcel, Sink& sink) {
    sink.begin(parcel.tag);
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

  static net::Topology topology_of(const Deployment& deployment);

  NetworkModel model_;
  std::vector<std::uint32_t> gpus_;  // per pool: of an instance
  std::vector<std::uint32_t> instances_;
  std::vector<std::uint32_t> first_port_;  // per pool, and the number of all
  std::vector<double> port_rate_;          // per pool: bytes/s of payload on one NIC direction
  double efficiency_;                      // payload bytes per byte on the wire
  std::vector<double> slowness_;           // per port
  std::vector<des::Resource<Parcel>> senders_;
  net::Topology topology_;
  std::vector<net::LinkId> sending_links_;  // per port
  std::optional<net::Network> network_;     // once the slow links are known
  net::TransportId transport_ = 0;
};

}  // namespace ridge::decode
