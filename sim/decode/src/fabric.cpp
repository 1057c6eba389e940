#include "fabric.hpp"

#include "ridge/net/cluster_spec.hpp"

namespace ridge::decode {

net::Topology Fabric::topology_of(const Deployment& d) {
  net::ClusterSpec cluster;
  cluster.fabric = d.fabric;
  for (const Pool& pool : d.pools) {
    cluster.groups.push_back({.name = pool.name,
                              .nodes = static_cast<int>(pool.instances * d.replicas),
                              .gpus_per_node = 1,
                              .scale_up_bandwidth = pool.scale_up_bandwidth,
                              .nics_per_node = 1,
                              .nic_bandwidth = pool.nic_bandwidth,
                              // Wide enough never to be what a message waits for.
                              .host_bandwidth = 1000.0 * pool.nic_bandwidth});
  }
  return net::build_topology(cluster);
}

namespace {

// From each instance's NIC to its leaf switch, in the order of the ports; the way back is the next
// link.
std::vector<net::LinkId> sending_links(const net::Topology& topology) {
  std::vector<net::LinkId> links;
  for (net::LinkId id = 0; id < topology.links().size(); ++id) {
    const net::Link& link = topology.link(id);
    if (link.port && topology.kind(link.from) == net::VertexKind::nic) links.push_back(id);
  }
  return links;
}

}  // namespace

Fabric::Fabric(const Deployment& d, NetworkModel model, std::span<const SlowLink> slow_links)
    : model_(model),
      efficiency_(d.network.efficiency),
      topology_(topology_of(d)),
      sending_links_(sending_links(topology_)) {
  std::uint32_t ports = 0;
  for (const Pool& pool : d.pools) {
    first_port_.push_back(ports);
    gpus_.push_back(static_cast<std::uint32_t>(pool.gpus_per_instance));
    instances_.push_back(static_cast<std::uint32_t>(pool.instances));
    port_rate_.push_back(pool.nic_bandwidth.value() * d.network.efficiency);
    ports += static_cast<std::uint32_t>(pool.instances * d.replicas);
  }
  first_port_.push_back(ports);
  senders_.resize(ports);
  slowness_.assign(ports, 1.0);
  for (const SlowLink& slow : slow_links) {
    for (std::uint32_t r = 0; r < d.replicas; ++r) {
      const std::uint32_t port = port_of({r, {slow.pool, slow.instance}});
      slowness_[port] *= slow.factor;
      for (const net::LinkId direction : {sending_links_[port], sending_links_[port] + 1}) {
        topology_.scale_capacity(direction, 1.0 / slow.factor);
      }
    }
  }
  network_.emplace(topology_,
                   model == NetworkModel::ports ? net::Sharing::at_ports : net::Sharing::max_min);
  transport_ = network_->add_transport({.overhead = d.network.overhead,
                                        .efficiency = d.network.efficiency,
                                        .source = d.network.source});
}

void Fabric::restart(des::SimTime now) {
  network_->restart(now);
}

Fabric::Sent Fabric::sent(std::uint32_t pool, des::SimTime now) const {
  const std::vector<net::LinkUse> use = network_->use(now);
  Sent sent;
  for (std::uint32_t port = first_port_[pool]; port < first_port_[pool + 1]; ++port) {
    sent.utilization += use[sending_links_[port]].utilisation;
    sent.payload += Bytes{use[sending_links_[port]].wire_bytes * efficiency_ * gpus_[pool]};
  }
  sent.utilization /= static_cast<double>(first_port_[pool + 1] - first_port_[pool]);
  return sent;
}

}  // namespace ridge::decode
