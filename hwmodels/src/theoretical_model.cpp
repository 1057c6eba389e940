#include "ridge/hwmodels/kernel_model.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::hw {

std::string_view name_of(Resource resource) {
  constexpr std::array<std::string_view, 5> kNames = {"none", "compute", "memory", "launch",
                                                      "link"};
  return kNames[static_cast<std::size_t>(resource)];
}

std::string_view name_of(Basis basis) {
  constexpr std::array<std::string_view, 7> kNames = {
      "theory", "assumed", "measured", "transferred", "stand-in", "no curve", "nothing"};
  return kNames[static_cast<std::size_t>(basis)];
}

ChipSpec faster(ChipSpec chip, const Faster& what) {
  const auto times = [](auto& fact, double factor) {
    if (fact.value) *fact.value *= factor;
  };
  for (auto& rate : chip.matrix_rate) times(rate, what.matrix);
  times(chip.power, what.matrix);
  times(chip.memory_bandwidth, what.memory);
  times(chip.scale_up_bandwidth, what.scale_up);
  times(chip.nic_bandwidth, what.network);
  return chip;
}

namespace {

class TheoreticalModel final : public KernelModel {
 public:
  explicit TheoreticalModel(ChipSpec chip) : chip_(std::move(chip)) {
    if (!chip_.memory_bandwidth.value) {
      throw UserError(fmt::format("{}: the roofline needs memory_bandwidth_TBps, which is unknown",
                                  chip_.name));
    }
    for (std::size_t p = 0; p < models::kPrecisions; ++p) {
      const auto rate = chip_.rate_for(static_cast<Precision>(p));
      if (!rate) {
        throw UserError(
            fmt::format("{}: the roofline needs a BF16 matrix rate, which is unknown", chip_.name));
      }
      seconds_per_flop_[p] = 1.0 / *rate;
    }
    seconds_per_byte_ = 1.0 / *chip_.memory_bandwidth.value;
    if (chip_.scale_up_bandwidth.value) {
      seconds_per_wire_byte_ = 1.0 / *chip_.scale_up_bandwidth.value;
    }
  }

  [[nodiscard]] Timing time(const models::Operator& op) const override {
    const models::Demand d = models::demand(op);
    const Seconds compute = d.flop * seconds_per_flop_[static_cast<std::size_t>(d.compute)];
    const Seconds memory = d.memory() * seconds_per_byte_;
    const Seconds link = d.wire * seconds_per_wire_byte_;
    Timing timing{.time = compute, .bound = Resource::compute};
    if (memory > timing.time) timing = {.time = memory, .bound = Resource::memory};
    if (link > timing.time) timing = {.time = link, .bound = Resource::link};
    if (timing.time.value() == 0.0) timing.bound = Resource::none;
    return timing;
  }

  [[nodiscard]] std::unique_ptr<KernelModel> on_faster(const Faster& what) const override {
    return theoretical_model(faster(chip_, what));
  }

  [[nodiscard]] const ChipSpec& chip() const override { return chip_; }
  [[nodiscard]] std::string provenance() const override { return "theory"; }

 private:
  using SecondsPerFlop = decltype(1.0 / FlopPerSecond{});
  using SecondsPerByte = decltype(1.0 / BytesPerSecond{});

  ChipSpec chip_;
  std::array<SecondsPerFlop, models::kPrecisions> seconds_per_flop_;
  SecondsPerByte seconds_per_byte_;
  SecondsPerByte seconds_per_wire_byte_;
};

class AssumedModel final : public KernelModel {
 public:
  AssumedModel(ChipSpec chip, const AssumedKernels& assumed)
      : theory_(std::move(chip)), assumed_(assumed) {}

  [[nodiscard]] Timing time(const models::Operator& op) const override {
    Timing timing = theory_.time(op);
    if (timing.bound == Resource::none) return timing;
    const Seconds work = timing.time / assumed_.efficiency;
    timing.time = assumed_.launch + work;
    if (assumed_.launch > work) timing.bound = Resource::launch;
    return timing;
  }

  [[nodiscard]] std::unique_ptr<KernelModel> on_faster(const Faster& what) const override {
    AssumedKernels assumed = assumed_;
    assumed.launch /= what.launch;
    return assumed_model(faster(chip(), what), assumed);
  }
  [[nodiscard]] Basis basis(const models::Operator& /*op*/) const override {
    return Basis::assumed;
  }

  [[nodiscard]] const ChipSpec& chip() const override { return theory_.chip(); }
  [[nodiscard]] std::string provenance() const override {
    return fmt::format("assumed: {:g} of the roofline, {:g} us a launch", assumed_.efficiency,
                       1e6 * assumed_.launch.value());
  }

 private:
  TheoreticalModel theory_;
  AssumedKernels assumed_;
};

}  // namespace

std::unique_ptr<KernelModel> theoretical_model(ChipSpec chip) {
  return std::make_unique<TheoreticalModel>(std::move(chip));
}

std::unique_ptr<KernelModel> assumed_model(ChipSpec chip, const AssumedKernels& assumed) {
  return std::make_unique<AssumedModel>(std::move(chip), assumed);
}

}  // namespace ridge::hw
