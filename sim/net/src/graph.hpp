// Boost.Graph costs seconds to compile: only the files that walk the graph include this.
#pragma once

#include <cstdint>

#include <boost/graph/adjacency_list.hpp>

namespace ridge::net::detail {

struct Graph {
  // The edge index is the LinkId. Bidirectional, since routes are searched from the destination.
  using Type =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, boost::no_property,
                            boost::property<boost::edge_index_t, std::uint32_t>>;
  Type value;
};

}  // namespace ridge::net::detail
