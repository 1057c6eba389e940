// The cluster as a directed graph: what is connected to what, how wide and how far.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/des/sim_time.hpp"

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ridge::net {

using GpuId = std::uint32_t;     // 0 .. gpus()-1, in order of addition
using VertexId = std::uint32_t;  // any device
using LinkId = std::uint32_t;    // one direction of a cable

enum class VertexKind : std::uint8_t { gpu, scale_up_switch, nic, leaf, spine };

// One direction. The other direction is a link of its own, with a capacity of its own.
struct Link {
  VertexId from = 0;
  VertexId to = 0;
  BytesPerSecond capacity;
  des::SimTime latency;
  // What a route pays for passing, before latency decides. More than 1 keeps traffic off a link
  // where another way exists: node-local traffic should not loop through the NIC.
  std::uint32_t cost = 1;
  // The way out of a GPU or NIC, or into one: where messages line up (see Sharing::at_ports).
  bool port = false;
};

// What the two directions of a cable have in common.
struct Cable {
  BytesPerSecond capacity;  // per direction
  des::SimTime latency;
  std::uint32_t cost = 1;
  bool port = false;
};

namespace detail {
struct Graph;
}

class Topology {
 public:
  Topology();
  Topology(Topology&&) noexcept;
  Topology& operator=(Topology&&) noexcept;
  ~Topology();

  VertexId add_vertex(VertexKind kind, std::string name);
  // Throws InvariantError unless both ends exist and differ and the capacity is positive.
  LinkId add_link(const Link& link);
  // Both directions: first a to b, then b to a, with the next LinkId.
  LinkId add_cable(VertexId a, VertexId b, const Cable& cable);

  // A degraded link: `factor` in (0, 1]. Before any network is built on this topology.
  void scale_capacity(LinkId link, double factor);

  [[nodiscard]] std::size_t vertices() const { return names_.size(); }
  [[nodiscard]] std::size_t gpus() const { return gpus_.size(); }
  [[nodiscard]] VertexId gpu(GpuId gpu) const { return gpus_[gpu]; }
  [[nodiscard]] VertexKind kind(VertexId vertex) const { return kinds_[vertex]; }
  [[nodiscard]] const std::string& name(VertexId vertex) const { return names_[vertex]; }
  [[nodiscard]] std::span<const Link> links() const { return links_; }
  [[nodiscard]] const Link& link(LinkId link) const { return links_[link]; }

  // Graphviz: one node per device, one edge per direction, labeled with GB/s.
  void write_dot(std::ostream& out) const;

  // For routing; the type is this layer's own affair.
  [[nodiscard]] const detail::Graph& graph() const { return *graph_; }

 private:
  std::unique_ptr<detail::Graph> graph_;
  std::vector<VertexKind> kinds_;
  std::vector<std::string> names_;
  std::vector<VertexId> gpus_;
  std::vector<Link> links_;
};

}  // namespace ridge::net
