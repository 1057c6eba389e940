// Time spent per state.
#pragma once

#include "ridge/des/sim_time.hpp"

#include <array>
#include <cstddef>

namespace ridge::des {

// How long something has been in each of `Count` states, such as the causes for which a GPU
// waits. State is an enum whose values are 0 to Count-1. The times add up to the elapsed time.
template <class State, std::size_t Count>
class StateTimes {
 public:
  explicit StateTimes(State state = State{}, SimTime start = {}) : state_(state), since_(start) {}

  void enter(SimTime now, State state) {
    times_[static_cast<std::size_t>(state_)] += now - since_;
    since_ = now;
    state_ = state;
  }

  // Forgets the past (a warm-up) and keeps the state.
  void restart(SimTime now) { *this = StateTimes(state_, now); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] SimTime time_in(State state, SimTime now) const {
    const SimTime past = times_[static_cast<std::size_t>(state)];
    return state == state_ ? past + (now - since_) : past;
  }

 private:
  std::array<SimTime, Count> times_{};
  State state_;
  SimTime since_;
};

}  // namespace ridge::des
