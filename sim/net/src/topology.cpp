#include "ridge/net/topology.hpp"

#include "graph.hpp"
#include "ridge/base/error.hpp"

#include <ostream>
#include <utility>

#include <boost/graph/graphviz.hpp>
#include <fmt/format.h>

namespace ridge::net {

Topology::Topology() : graph_(std::make_unique<detail::Graph>()) {}
Topology::Topology(Topology&&) noexcept = default;
Topology& Topology::operator=(Topology&&) noexcept = default;
Topology::~Topology() = default;

VertexId Topology::add_vertex(VertexKind kind, std::string name) {
  const auto vertex = static_cast<VertexId>(boost::add_vertex(graph_->value));
  kinds_.push_back(kind);
  names_.push_back(std::move(name));
  if (kind == VertexKind::gpu) gpus_.push_back(vertex);
  return vertex;
}

LinkId Topology::add_link(const Link& link) {
  RIDGE_INVARIANT(link.from < vertices() && link.to < vertices() && link.from != link.to,
                  "a link joins two different devices of its topology");
  RIDGE_INVARIANT(link.capacity > BytesPerSecond{} && link.latency >= des::SimTime{},
                  "a link has a positive capacity and no negative latency");
  const auto id = static_cast<LinkId>(links_.size());
  boost::add_edge(link.from, link.to, id, graph_->value);
  links_.push_back(link);
  return id;
}

LinkId Topology::add_cable(VertexId a, VertexId b, const Cable& cable) {
  const LinkId id = add_link({a, b, cable.capacity, cable.latency, cable.cost, cable.port});
  add_link({b, a, cable.capacity, cable.latency, cable.cost, cable.port});
  return id;
}

void Topology::scale_capacity(LinkId link, double factor) {
  RIDGE_INVARIANT(factor > 0.0 && factor <= 1.0, "a degraded link keeps a part of its capacity");
  links_[link].capacity *= factor;
}

void Topology::write_dot(std::ostream& out) const {
  const auto shape = [](VertexKind kind) {
    switch (kind) {
      case VertexKind::gpu:
        return "box";
      case VertexKind::nic:
        return "cds";
      case VertexKind::scale_up_switch:
      case VertexKind::leaf:
      case VertexKind::spine:
        return "ellipse";
    }
    return "ellipse";
  };
  const auto write_vertex = [&](std::ostream& stream, std::size_t vertex) {
    stream << fmt::format("[label=\"{}\", shape={}]", names_[vertex], shape(kinds_[vertex]));
  };
  const auto index = boost::get(boost::edge_index, graph_->value);
  const auto write_edge = [&](std::ostream& stream, const auto& edge) {
    const Link& link = links_[index[edge]];
    stream << fmt::format("[label=\"{:.4g} GB/s\"]", link.capacity.value() * 1e-9);
  };
  boost::write_graphviz(out, graph_->value, write_vertex, write_edge);
}

}  // namespace ridge::net
