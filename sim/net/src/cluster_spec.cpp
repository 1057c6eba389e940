#include "ridge/net/cluster_spec.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include <fmt/format.h>

namespace ridge::net {
namespace {

using des::SimTime;

class Checker {
 public:
  explicit Checker(std::string prefix, std::vector<ClusterProblem>& problems)
      : prefix_(std::move(prefix)), problems_(problems) {}

  void expect(bool holds, std::string_view field, std::string message) {
    if (!holds) problems_.push_back({fmt::format("{}/{}", prefix_, field), std::move(message)});
  }
  void at_least(int value, int least, std::string_view field) {
    expect(value >= least, field, fmt::format("expected at least {}, got {}", least, value));
  }
  void positive(BytesPerSecond value, std::string_view field) {
    expect(std::isfinite(value.value()) && value.value() > 0.0, field,
           fmt::format("expected a positive bandwidth, got {} B/s", value.value()));
  }
  void not_negative(Seconds value, std::string_view field) {
    expect(std::isfinite(value.value()) && value.value() >= 0.0, field,
           fmt::format("expected a latency of at least 0, got {} s", value.value()));
  }

 private:
  std::string prefix_;
  std::vector<ClusterProblem>& problems_;
};

void check_group(const NodeGroup& group, Checker check) {
  check.at_least(group.nodes, 1, "nodes");
  check.at_least(group.gpus_per_node, 1, "gpus_per_node");
  if (group.gpus_per_node > 1) {
    check.positive(group.scale_up_bandwidth, "scale_up_bandwidth");
    check.not_negative(group.scale_up_latency, "scale_up_latency");
  }
  check.at_least(group.nics_per_node, 0, "nics_per_node");
  if (group.nics_per_node <= 0) return;
  if (group.gpus_per_node > 0) {
    const auto [few, many] = std::minmax(group.nics_per_node, group.gpus_per_node);
    check.expect(many % few == 0, "nics_per_node",
                 fmt::format("{} NICs cannot be shared evenly by {} GPUs: expected a divisor or a "
                             "multiple",
                             group.nics_per_node, group.gpus_per_node));
  }
  check.at_least(group.ports_per_nic, 1, "ports_per_nic");
  check.positive(group.nic_bandwidth, "nic_bandwidth");
  check.positive(group.host_bandwidth, "host_bandwidth");
  check.not_negative(group.host_latency, "host_latency");
}

// Leaf switches appear as NICs ask for them, and spines once all leaves are known.
class Builder {
 public:
  explicit Builder(const ClusterSpec& spec) : spec_(spec) {}

  Topology build() {
    int node = 0;
    for (const NodeGroup& group : spec_.groups) {
      for (int i = 0; i < group.nodes; ++i) add_node(group, node++);
    }
    add_spines();
    return std::move(topology_);
  }

 private:
  struct LeafKey {
    int pod;
    int nic;  // always 0 in racks
    int port;
    auto operator<=>(const LeafKey&) const = default;
  };
  struct Leaf {
    VertexId vertex = 0;
    BytesPerSecond towards_nics;
  };

  void add_node(const NodeGroup& group, int node) {
    const std::string name = fmt::format("{}{}", group.name, node);
    std::vector<VertexId> gpus;
    for (int g = 0; g < group.gpus_per_node; ++g) {
      gpus.push_back(topology_.add_vertex(VertexKind::gpu, fmt::format("{}/gpu{}", name, g)));
    }
    if (group.gpus_per_node > 1) {
      const VertexId hub = topology_.add_vertex(VertexKind::scale_up_switch, name + "/scale-up");
      Cable cable{group.scale_up_bandwidth, SimTime::from(group.scale_up_latency / 2.0)};
      cable.port = true;
      for (const VertexId gpu : gpus) topology_.add_cable(gpu, hub, cable);
    }
    for (int n = 0; n < group.nics_per_node; ++n) {
      const VertexId nic = topology_.add_vertex(VertexKind::nic, fmt::format("{}/nic{}", name, n));
      attach_gpus(group, gpus, nic, n);
      attach_ports(group, nic, n, node);
    }
  }

  void attach_gpus(const NodeGroup& group, const std::vector<VertexId>& gpus, VertexId nic,
                   int index) {
    Cable cable{group.host_bandwidth, SimTime::from(group.host_latency)};
    cable.cost = 2;  // dearer than the scale-up switch, for GPUs that share a NIC
    if (group.nics_per_node >= group.gpus_per_node) {
      const int nics_per_gpu = group.nics_per_node / group.gpus_per_node;
      topology_.add_cable(gpus[static_cast<std::size_t>(index / nics_per_gpu)], nic, cable);
      return;
    }
    const int gpus_per_nic = group.gpus_per_node / group.nics_per_node;
    for (int g = index * gpus_per_nic; g < (index + 1) * gpus_per_nic; ++g) {
      topology_.add_cable(gpus[static_cast<std::size_t>(g)], nic, cable);
    }
  }

  void attach_ports(const NodeGroup& group, VertexId nic, int index, int node) {
    const Fabric& fabric = spec_.fabric;
    const int pod = fabric.nodes_per_leaf > 0 ? node / fabric.nodes_per_leaf : 0;
    const int rail = fabric.arrangement == Arrangement::rails ? index : 0;
    const BytesPerSecond bandwidth = group.nic_bandwidth / group.ports_per_nic;
    for (int port = 0; port < group.ports_per_nic; ++port) {
      Leaf& leaf = leaf_at({pod, rail, port});
      leaf.towards_nics += bandwidth;
      Cable cable{bandwidth, SimTime::from(fabric.hop_latency)};
      cable.port = true;
      topology_.add_cable(nic, leaf.vertex, cable);
    }
  }

  Leaf& leaf_at(const LeafKey& key) {
    const auto [place, added] = leaves_.try_emplace(key);
    if (added) {
      const bool rails = spec_.fabric.arrangement == Arrangement::rails;
      const std::string name = rails ? fmt::format("pod{}/rail{}.{}", key.pod, key.nic, key.port)
                                     : fmt::format("rack{}/tor{}", key.pod, key.port);
      place->second.vertex = topology_.add_vertex(VertexKind::leaf, name);
    }
    return place->second;
  }

  void add_spines() {
    const Fabric& fabric = spec_.fabric;
    for (int s = 0; s < fabric.spines; ++s) {
      const VertexId spine = topology_.add_vertex(VertexKind::spine, fmt::format("spine{}", s));
      for (const auto& [key, leaf] : leaves_) {
        topology_.add_cable(leaf.vertex, spine,
                            {leaf.towards_nics / (fabric.oversubscription * fabric.spines),
                             SimTime::from(fabric.hop_latency)});
      }
    }
  }

  const ClusterSpec& spec_;
  Topology topology_;
  std::map<LeafKey, Leaf> leaves_;
};

}  // namespace

std::vector<ClusterProblem> problems(const ClusterSpec& spec) {
  std::vector<ClusterProblem> found;
  Checker(std::string{}, found).expect(!spec.groups.empty(), "groups", "expected at least one");
  for (std::size_t i = 0; i < spec.groups.size(); ++i) {
    check_group(spec.groups[i], Checker(fmt::format("/groups/{}", i), found));
  }
  Checker fabric("/fabric", found);
  fabric.at_least(spec.fabric.nodes_per_leaf, 0, "nodes_per_leaf");
  fabric.at_least(spec.fabric.spines, 0, "spines");
  fabric.not_negative(spec.fabric.hop_latency, "hop_latency");
  fabric.expect(std::isfinite(spec.fabric.oversubscription) && spec.fabric.oversubscription >= 1.0,
                "oversubscription",
                fmt::format("expected at least 1, got {}", spec.fabric.oversubscription));
  return found;
}

Topology build_topology(const ClusterSpec& spec) {
  std::string message;
  for (const ClusterProblem& problem : problems(spec)) {
    if (!message.empty()) message += '\n';
    message += fmt::format("{}: {}", problem.field, problem.message);
  }
  if (!message.empty()) throw UserError(message);
  return Builder(spec).build();
}

}  // namespace ridge::net
