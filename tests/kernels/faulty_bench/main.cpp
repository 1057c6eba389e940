#include "bench/platform.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

// ridge-bench on a machine where every kind of thing goes wrong: what bench_supervise_test.cpp
// runs. Point and case i of a family is shape {"i", i}; the family's name says what happens at i
// = 1.

namespace ridge::kernels::bench {
namespace {

bool device_is_broken = false;

std::string variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

void meet_fault(const std::string& what, std::int64_t i) {
  if (device_is_broken) {
    throw std::runtime_error("the device is broken");
  }
  if (what == "slow") {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
  }
  if (i != 1) {
    return;
  }
  if (what == "throws") {
    throw std::runtime_error("a library\nlacks\ta mode");
  }
  if (what == "hangs") {
    std::this_thread::sleep_for(std::chrono::hours(1));
  }
  if (what == "dies") {
    std::raise(SIGKILL);
  }
  if (what == "exits") {
    std::_Exit(7);
  }
  if (what == "breaks") {
    device_is_broken = true;
    throw std::runtime_error("an illegal address");
  }
}

class FaultyWorkload : public Workload {
 public:
  explicit FaultyWorkload(std::int64_t i) : i_(i) {}
  int sets() const override { return 1; }
  void launch(int, Stream) override {}
  std::int64_t i() const { return i_; }

 private:
  std::int64_t i_;
};

Shape shape_of(std::int64_t i) {
  return {{"i", i}, {"half", std::string(i < 2 ? "lower" : "upper")}};
}

/// A family of plain functions, as the others are, for each name.
template <const char* const& Name>
struct Faulty {
  static std::vector<Point> grid(Extent, const DeviceFacts&) {
    std::vector<Point> points;
    for (std::int64_t i = 0; i < 4; ++i) {
      const Turn turn = std::string(Name) == "ceiling" ? Turn::kCeiling
                        : i == 3                       ? Turn::kTarget
                                                       : Turn::kGrid;
      points.push_back({"ridge", shape_of(i), {1e6, 1e6, 1e9}, turn});
    }
    points.push_back({"library", shape_of(0), {1e6, 1e6, 1e9}, Turn::kGrid});
    return points;
  }
  static std::string explain(const Point&, const DeviceFacts&) { return "\n"; }
  static std::vector<Case> cases(Extent, const DeviceFacts&) {
    std::vector<Case> all;
    if (std::string(Name).find("wrong") != std::string::npos || std::string(Name) == "case_hangs") {
      for (std::int64_t i = 0; i < 4; ++i) {
        all.push_back({"ridge", "agrees", shape_of(i)});
      }
    }
    return all;
  }
  static CheckReport check(const Case& test, const DeviceFacts&) {
    const std::int64_t i = test.shape.integer("i");
    if (std::string(Name) == "case_hangs") {
      meet_fault("hangs", i);
    }
    const bool right = i != 1;
    return {right, right ? 1e-4 : 0.5, 1e-3, right ? "" : "worst at element 3"};
  }
  static std::unique_ptr<Workload> prepare(const Point& point, const DeviceFacts&) {
    const std::int64_t i = point.shape.integer("i");
    if (point.kernel == "ridge") {
      meet_fault(Name, i);
    }
    return std::make_unique<FaultyWorkload>(i);
  }
  static Family family() {
    return {.name = Name,
            .summary = "a fault",
            .instance_fields = {"half"},
            .grid = grid,
            .explain = explain,
            .cases = cases,
            .check = check,
            .prepare = prepare};
  }
};

constexpr const char* kCeilingName = "ceiling";
constexpr const char* kGood = "good";
constexpr const char* kThrows = "throws";
constexpr const char* kHangs = "hangs";
constexpr const char* kDies = "dies";
constexpr const char* kExits = "exits";
constexpr const char* kBreaks = "breaks";
constexpr const char* kWrong = "wrong";
constexpr const char* kCaseHangs = "case_hangs";
constexpr const char* kSlow = "slow";

const std::vector<Family>& faulty_families() {
  static const std::vector<Family> table = {
      Faulty<kWrong>::family(),      Faulty<kThrows>::family(), Faulty<kHangs>::family(),
      Faulty<kDies>::family(),       Faulty<kExits>::family(),  Faulty<kBreaks>::family(),
      Faulty<kCaseHangs>::family(),  Faulty<kSlow>::family(),   Faulty<kGood>::family(),
      Faulty<kCeilingName>::family()};
  return table;
}

std::optional<std::string> why_no_device() {
  if (variable("FAULTY_DEVICE", "") == "absent") {
    return "no CUDA device can be used here";
  }
  if (variable("FAULTY_DEVICE", "") == "crash") {
    std::raise(SIGSEGV);
  }
  return std::nullopt;
}

DeviceFacts query_facts() {
  return {132, 50ull << 20, 80'000'000'000ull, 78'000'000'000ull, 90};
}

Header describe() {
  Header header;
  header.device = {"a faulty device",
                   variable("FAULTY_UUID", "GPU-0"),
                   9,
                   0,
                   132,
                   50ull << 20,
                   80'000'000'000ull,
                   1980,
                   2619,
                   5120};
  header.driver_version = "1";
  header.cuda_runtime_version = "13.0";
  header.cublaslt_version = "none";
  header.compiler = "none";
  return header;
}

Timing measure(Workload& workload, Extent) {
  const double us = 10.0 + static_cast<double>(static_cast<FaultyWorkload&>(workload).i());
  return {us, us, us, 7, {1755, 2619}};
}

bool usable() {
  return !device_is_broken;
}

}  // namespace
}  // namespace ridge::kernels::bench

int main(int argc, char** argv) {
  using namespace ridge::kernels::bench;
  return run({.families = faulty_families(),
              .why_no_device = why_no_device,
              .query_facts = query_facts,
              .describe = describe,
              .measure = measure,
              .usable = usable},
             {argv + 1, argv + argc});
}
