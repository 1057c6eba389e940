#include "device.hpp"

#include "cluster.hpp"
#include "device_memory.hpp"
#include "error.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace ridge::emulated {
namespace {

constexpr std::size_t kSharedBytesOfEveryKernel = 48 << 10;

/// Exchanges saved bytes with what is in memory, in order, or backwards to undo it.
void exchange(std::vector<SavedBytes>& saved, bool backwards) {
  const auto one = [](SavedBytes& piece) {
    std::swap_ranges(piece.bytes.begin(), piece.bytes.end(), piece.at);
  };
  if (backwards) {
    std::for_each(saved.rbegin(), saved.rend(), one);
  } else {
    std::for_each(saved.begin(), saved.end(), one);
  }
}

bool equals_memory(const std::vector<SavedBytes>& saved) {
  return std::all_of(saved.begin(), saved.end(), [](const SavedBytes& piece) {
    return std::equal(piece.bytes.begin(), piece.bytes.end(), piece.at);
  });
}

}  // namespace

Device& Device::instance() {
  static auto& device = *new Device;  // As device_memory().
  return device;
}

Device::Device() : chance_(1) {
  if (const char* const chosen = std::getenv("RIDGE_EMULATION_SEED")) {
    seed(std::strtoull(chosen, nullptr, 10));
  }
  fidelity_.fp8_sums = std::getenv("RIDGE_EMULATION_FP8_SUMS") != nullptr;
}

std::size_t Device::allowed_shared_bytes(const void* kernel) const {
  const auto found = allowed_.find(kernel);
  return found == allowed_.end() ? kSharedBytesOfEveryKernel : found->second;
}

void Device::enqueue(Launch launch) {
  queue_.push_back({std::move(launch), {}});
}

void Device::enqueue(std::function<void()> host_operation) {
  queue_.push_back({{}, std::move(host_operation)});
}

cudaError_t Device::synchronize() {
  while (failure_.empty() && !queue_.empty()) {
    const Operation operation = std::move(queue_.front());
    queue_.pop_front();
    if (!operation.launch.kernel) {
      operation.host();
      stale_.clear();
      continue;
    }
    try {
      run(operation.launch, !queue_.empty() && queue_.front().launch.dependent);
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
  }
  return failure_.empty() ? cudaSuccess : cudaErrorLaunchFailure;
}

void Device::recover() {
  failure_.clear();
  queue_.clear();
  stale_.clear();
  launches_ = 0;
}

/// Clusters (CTAs, where no others are asked for) run one after another in a random order. Of a
/// dependent launch, each first runs with memory as it was before the launch it depends on, up to
/// its griddepcontrol.wait: the earliest that the hardware could have started it.
void Device::run(const Launch& launch, bool next_is_dependent) {
  std::vector<SavedBytes> stale = launch.dependent ? std::move(stale_) : std::vector<SavedBytes>{};
  const std::vector<SavedBytes> before =
      next_is_dependent ? device_memory().snapshot() : std::vector<SavedBytes>{};
  std::vector<uint3> order;
  for (unsigned z = 0; z < launch.grid.z; z += launch.cluster.z) {
    for (unsigned y = 0; y < launch.grid.y; y += launch.cluster.y) {
      for (unsigned x = 0; x < launch.grid.x; x += launch.cluster.x) {
        order.push_back({x, y, z});
      }
    }
  }
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[chance_.below(i)]);
  }
  ++launches_;
  bool early = false;
  for (const uint3 first : order) {
    try {
      Cluster cluster(launch, first, stale, chance_, fidelity_);
      if (launch.dependent) {
        exchange(stale, false);
        const std::vector<SavedBytes> as_it_was = [&] {
          std::vector<SavedBytes> copy;
          for (const SavedBytes& piece : stale) {
            copy.push_back({piece.at, {piece.at, piece.at + piece.bytes.size()}});
          }
          return copy;
        }();
        cluster.run_to_prerequisites();
        if (!equals_memory(as_it_was)) {
          fail(
              "a dependent kernel wrote what the kernel before it writes before it had waited for "
              "that one");
        }
        exchange(stale, true);
      }
      cluster.run_to_end();
      early |= cluster.allowed_dependents_early();
    } catch (const DeviceError& error) {
      throw DeviceError("launch " + std::to_string(launches_) + ", grid (" +
                        std::to_string(launch.grid.x) + ", " + std::to_string(launch.grid.y) +
                        ", " + std::to_string(launch.grid.z) + "): " + error.what());
    }
  }
  stale_ = next_is_dependent ? DeviceMemory::changed_since(before) : std::vector<SavedBytes>{};
  if (early) {
    stale_.insert(stale_.end(), stale.begin(), stale.end());
  }
}

}  // namespace ridge::emulated
