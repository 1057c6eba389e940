#include "interconnect.hpp"

#include "ridge/net/cluster_spec.hpp"

namespace ridge::decode {

namespace {

// An instance of several nodes has them one after the other.
std::int64_t nodes_of_instance(const Pool& pool) {
  const bool whole_nodes = pool.gpus_per_instance % pool.gpus_per_node == 0;
  return whole_nodes ? pool.gpus_per_instance / pool.gpus_per_node : 1;
}

bool of_one_leaf(const Deployment& d) {
  std::int64_t nodes = 0;
  for (const Pool& pool : d.pools) nodes += pool.instances * d.replicas * nodes_of_instance(pool);
  return d.fabric.nodes_per_leaf == 0 || nodes <= d.fabric.nodes_per_leaf;
}

}  // namespace

net::Topology Interconnect::topology_of(const Deployment& d, bool every_rail) {
  net::ClusterSpec cluster;
  cluster.fabric = d.fabric;
  // A leaf takes all NICs of its nodes.
  cluster.fabric.arrangement = net::Arrangement::racks;
  for (const Pool& pool : d.pools) {
    const std::int64_t nodes = every_rail ? nodes_of_instance(pool) : 1;
    const int nics = every_rail ? static_cast<int>(pool.gpus_per_instance / nodes) : 1;
    cluster.groups.push_back({.name = pool.name,
                              .nodes = static_cast<int>(pool.instances * d.replicas * nodes),
                              .gpus_per_node = nics,
                              .scale_up_bandwidth = pool.scale_up_bandwidth,
                              .nics_per_node = nics,
                              .nic_bandwidth = d.message_bandwidth(pool),
                              // Wide enough never to be what a message waits for.
                              .host_bandwidth = 1000.0 * d.message_bandwidth(pool)});
  }
  return net::build_topology(cluster);
}

namespace {

// From each NIC (or GPU's link) to its leaf switch, in the order of the ports; the way back is the
// next link.
std::vector<net::LinkId> sending_links(const net::Topology& topology) {
  std::vector<net::LinkId> links;
  for (net::LinkId id = 0; id < topology.links().size(); ++id) {
    const net::Link& link = topology.link(id);
    if (link.port && topology.kind(link.from) == net::VertexKind::nic) links.push_back(id);
  }
  return links;
}

}  // namespace

Interconnect::Interconnect(const Deployment& d, NetworkModel model,
                           std::span<const SlowLink> slow_links)
    : model_(model),
      every_rail_(model == NetworkModel::max_min_fair && !of_one_leaf(d)),
      efficiency_(d.message_transport().efficiency),
      topology_(topology_of(d, every_rail_)),
      sending_links_(sending_links(topology_)) {
  std::uint32_t ports = 0;
  for (const Pool& pool : d.pools) {
    first_port_.push_back(ports);
    gpus_.push_back(static_cast<std::uint32_t>(pool.gpus_per_instance));
    instances_.push_back(static_cast<std::uint32_t>(pool.instances));
    port_rate_.push_back(d.message_bandwidth(pool).value() * efficiency_);
    ports += static_cast<std::uint32_t>(pool.instances * d.replicas);
  }
  first_port_.push_back(ports);
  std::uint32_t nic = 0;
  for (std::uint32_t pool = 0; pool < gpus_.size(); ++pool) {
    first_gpu_.push_back(nic);
    for (std::uint32_t port = first_port_[pool]; port < first_port_[pool + 1]; ++port) {
      first_nic_.push_back(nic);
      nic += nics(pool);
    }
  }
  senders_.resize(ports);
  slowness_.assign(ports, 1.0);
  for (const SlowLink& slow : slow_links) {
    for (std::uint32_t r = 0; r < d.replicas; ++r) {
      const std::uint32_t port = port_of({r, {slow.pool, slow.instance}});
      slowness_[port] *= slow.factor;
      for (std::uint32_t n = 0; n < nics(slow.pool); ++n) {
        const net::LinkId sending = sending_links_[first_nic_[port] + n];
        topology_.scale_capacity(sending, 1.0 / slow.factor);
        topology_.scale_capacity(sending + 1, 1.0 / slow.factor);
      }
    }
  }
  network_.emplace(topology_,
                   model == NetworkModel::ports ? net::Sharing::at_ports : net::Sharing::max_min);
  const net::Transport& transport = d.message_transport();
  transport_ = network_->add_transport(transport);
  overhead_ = des::SimTime::from(transport.overhead);
  micro_batches_ = static_cast<std::uint64_t>(d.micro_batches);
}

void Interconnect::keep_order(const Rotation& rotation) {
  if (model_ != NetworkModel::ports) return;
  rotation_ = &rotation;
  ordered_.resize(senders_.size());
  for (std::uint32_t pool = 0; pool < gpus_.size(); ++pool) {
    for (std::uint32_t port = first_port_[pool]; port < first_port_[pool + 1]; ++port) {
      const std::uint32_t instance = port - first_port_[pool];
      const Place place{pool, instance % instances_[pool]};
      OrderedPort& ordered = ordered_[port];
      ordered.first_lane = instance / instances_[pool] * micro_batches_;
      ordered.sender = rotation.servers().sender(place);
      ordered.receiver = rotation.servers().receiver(place);
    }
  }
}

Interconnect::Times Interconnect::times(const Endpoint& from, const Endpoint& to, double bytes) {
  if (bytes <= 0.0) return {};
  const Parcel parcel{.tag = 0, .from = from, .to = to, .bytes = bytes, .delay = {}};
  const net::Route& route = network_->router()[network_->route(port_of(from), port_of(to))];
  const double wire = std::round(flow_bytes(parcel)) / efficiency_;
  const double out = flows_per_sender(parcel);
  const double in = flows_per_receiver(parcel);
  const auto time = [&](double rate) { return des::SimTime::from(Seconds{wire / rate}); };
  const auto port_rate = [&](net::LinkId link) { return topology_.link(link).capacity.value(); };
  return {.until_first_byte = overhead_ + route.latency,
          .sending = time(port_rate(route.source_port_link) / out),
          .receiving = time(port_rate(route.destination_port_link) / in),
          .in_flight = time(
              std::min({route.source_rate / out, route.core_rate, route.destination_rate / in}))};
}

void Interconnect::restart(des::SimTime now) {
  measured_from_ = now;
  for (OrderedPort& port : ordered_) {
    port.sending_time = {};
    port.payload = 0.0;
  }
  network_->restart(now);
}

Interconnect::Sent Interconnect::sent(std::uint32_t pool, des::SimTime now) const {
  Sent sent;
  if (rotation_ != nullptr) {
    const double elapsed = (now - measured_from_).seconds().value();
    for (std::uint32_t port = first_port_[pool]; elapsed > 0.0 && port < first_port_[pool + 1];
         ++port) {
      sent.utilization += ordered_[port].sending_time.seconds().value() / elapsed;
      sent.payload += Bytes{ordered_[port].payload};
    }
    sent.utilization /= static_cast<double>(first_port_[pool + 1] - first_port_[pool]);
    return sent;
  }
  const std::vector<net::WireUse> use = network_->use(now);
  const std::uint32_t each = nics(pool);
  for (std::uint32_t port = first_port_[pool]; port < first_port_[pool + 1]; ++port) {
    for (std::uint32_t n = 0; n < each; ++n) {
      const net::WireUse& link = use[sending_links_[first_nic_[port] + n]];
      sent.utilization += link.utilization / each;
      sent.payload += Bytes{link.wire_bytes * efficiency_ * gpus_[pool] / each};
    }
  }
  sent.utilization /= static_cast<double>(first_port_[pool + 1] - first_port_[pool]);
  return sent;
}

}  // namespace ridge::decode
