// A cluster in the words of a purchase order, and the topology that it means.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/net/topology.hpp"

#include <string>
#include <vector>

namespace ridge::net {

// Identical nodes. A node is one scale-up domain: its GPUs reach each other through a switch.
struct NodeGroup {
  std::string name;  // "attention"
  int nodes = 0;
  int gpus_per_node = 0;
  // NVLink or its like; for cards without it, the PCIe path between two of them.
  BytesPerSecond scale_up_bandwidth;  // per GPU and direction
  Seconds scale_up_latency;           // GPU to GPU
  // The GPUs of a node share its NICs evenly: one of the two counts divides the other. With more
  // NICs than GPUs a GPU has several, and a transfer takes one of them.
  int nics_per_node = 0;
  BytesPerSecond nic_bandwidth;  // per NIC and direction, all ports together
  // Each port goes to a leaf switch of its own; a transfer takes one of them. A bonded NIC, on
  // which one transfer uses all ports, is a NIC with one port here.
  int ports_per_nic = 1;
  BytesPerSecond host_bandwidth;  // between a GPU and its NIC, per GPU and direction
  Seconds host_latency;           // between a GPU and its NIC
};

enum class Arrangement {
  rails,  // NIC i of every node in reach of a leaf goes to the same leaf
  racks,  // all NICs of a node go to the leaf of its rack
};

// Leaf and spine switches between the nodes.
struct Fabric {
  Arrangement arrangement = Arrangement::rails;
  int nodes_per_leaf = 0;  // 0: all nodes
  int spines = 0;          // every leaf goes to every spine
  // A leaf's bandwidth toward its NICs over its bandwidth toward the spines; >= 1.
  double oversubscription = 1.0;
  Seconds hop_latency;  // per cable, with the switch behind it
  bool operator==(const Fabric&) const = default;
};

// GPUs are numbered through the groups in order, node by node.
struct ClusterSpec {
  std::vector<NodeGroup> groups;
  Fabric fabric;
};

struct ClusterProblem {
  std::string field;  // as a JSON pointer would name it: "/groups/0/nics_per_node"
  std::string message;
};

// All that is wrong with `spec`; nothing, if it can be built.
[[nodiscard]] std::vector<ClusterProblem> problems(const ClusterSpec& spec);

// Throws UserError with every problem if there are any.
[[nodiscard]] Topology build_topology(const ClusterSpec& spec);

}  // namespace ridge::net
