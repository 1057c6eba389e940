// Messages between instances whose NIC directions serve one message at a time.
#pragma once

#include "ridge/des/resource.hpp"
#include "ridge/des/sim_time.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ridge::decode {

// A port is one instance's NICs together, sending and receiving independently. A message occupies
// its sender's port first, in order of request; it passes on to the receiver's while it is still
// being sent, so that on idle ports it takes bytes / bandwidth once.
class PortNetwork {
 public:
  struct Message {
    std::uint32_t lane = 0;
    std::uint32_t task = 0;
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    des::SimTime send_time;     // on the sender's port
    des::SimTime receive_time;  // on the receiver's
    des::SimTime latency;
  };
  // What follows from a message that starts to be sent: both instants are final.
  struct Started {
    Message message;
    des::SimTime begin;
    des::SimTime sender_free;
    des::SimTime arrival;
  };

  explicit PortNetwork(std::size_t ports) : sending_(ports), receiving_until_(ports) {}

  // Something starts at once, or nothing does until the sender's port is free.
  std::optional<Started> send(des::SimTime now, const Message& message) {
    if (!sending_[message.from].request(now, message)) return std::nullopt;
    return start(now, message);
  }
  // To be called at sender_free of the port's message: the next one, if any waits.
  std::optional<Started> sender_free(des::SimTime now, std::uint32_t port) {
    const auto next = sending_[port].complete(now);
    if (!next) return std::nullopt;
    return start(now, *next);
  }

  void restart(des::SimTime now) {
    for (auto& port : sending_) port.restart(now);
  }
  [[nodiscard]] des::ResourceUse use(std::uint32_t port, des::SimTime until) const {
    return sending_[port].use(until);
  }

 private:
  Started start(des::SimTime now, const Message& message) {
    Started started{
        .message = message, .begin = now, .sender_free = now + message.send_time, .arrival = {}};
    des::SimTime& receiving = receiving_until_[message.to];
    receiving = std::max(receiving, now) + message.receive_time;
    started.arrival = std::max(started.sender_free, receiving) + message.latency;
    return started;
  }

  std::vector<des::Resource<Message>> sending_;
  std::vector<des::SimTime> receiving_until_;
};

}  // namespace ridge::decode
