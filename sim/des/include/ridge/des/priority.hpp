// The order of events that fall into one instant.
#pragma once

#include <cstdint>

namespace ridge::des {

// What goes first among events of one instant. Micro-batches run in lock-step, so that ties are
// the normal case, and their order must be a decision and not an accident of insertion.
// Events of one instant and one priority run in the order in which they were scheduled.
enum class Priority : std::uint8_t {
  // Work that ends now leaves its resource before anything asks for it, or the resource would
  // look busy to a task that arrives as it falls idle.
  complete,
  // Data that arrives now may be used by work that starts now: a dependency met at t is met
  // for every decision taken at t.
  deliver,
  // A request that arrives now can join the batch formed now, and finds the memory that
  // requests ending now have freed.
  admit,
  // A resource picks among all that became ready in this instant, not among those whose
  // event happened to be scheduled first.
  start,
  // Rates of shared links are computed once per instant, after every transfer that starts or
  // ends in it is known.
  settle,
  // Statistics see an instant's final state, never a state that lasted no time.
  observe,
  // The end of a measurement window includes everything that happened in its last instant.
  finish,
};

}  // namespace ridge::des
