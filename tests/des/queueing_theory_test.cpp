// A single server with Poisson arrivals is where a simulator can be held against exact theory.

#include "ridge/base/random.hpp"
#include "ridge/base/statistics.hpp"
#include "ridge/des/engine.hpp"
#include "ridge/des/resource.hpp"

#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

namespace ridge::des {
namespace {

enum class Change : std::uint32_t { arrive, complete, end_of_warm_up };
struct ServerEvent {
  Change kind;
  std::uint32_t task;
};

enum class Service { deterministic, exponential };

constexpr double kServiceSeconds = 1e-6;

// Poisson arrivals at utilization `rho`, of which the first fifth is warm-up. Runs until the
// last of `tasks` has left.
ResourceUse serve(Service service, double rho, std::uint32_t tasks, std::uint64_t seed) {
  Engine<ServerEvent> engine;
  Resource<std::uint32_t> server;
  Random arrivals(seed, 0);
  Random services(seed, 1);
  const auto interval = [&] {
    return SimTime::from(Seconds{arrivals.exponential() * kServiceSeconds / rho});
  };
  const auto begin = [&](std::uint32_t task) {
    const double factor = service == Service::deterministic ? 1.0 : services.exponential();
    engine.after(SimTime::from(Seconds{factor * kServiceSeconds}), Priority::complete,
                 {Change::complete, task});
  };
  engine.after(interval(), Priority::admit, {Change::arrive, 0});
  engine.run([&](const ServerEvent& event) {
    switch (event.kind) {
      case Change::arrive:
        if (server.request(engine.now(), event.task)) begin(event.task);
        if (event.task + 1 < tasks) {
          engine.after(interval(), Priority::admit, {Change::arrive, event.task + 1});
        }
        if (event.task == tasks / 5) {
          engine.after(SimTime{}, Priority::finish, {Change::end_of_warm_up, 0});
        }
        break;
      case Change::complete:
        if (const auto next = server.complete(engine.now())) begin(*next);
        break;
      case Change::end_of_warm_up:
        server.restart(engine.now());
        break;
    }
  });
  return server.use(engine.now());
}

// The mean wait over independent replications lies within four standard errors of `theory`: a
// correct simulator fails this once in about ten thousand seeds, and the seeds are fixed.
void expect_mean_wait(Service service, double rho, double theory) {
  Moments waits;
  Moments utilizations;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const ResourceUse use = serve(service, rho, 40'000, seed);
    waits.add(use.mean_wait.seconds().value());
    utilizations.add(use.utilization());
  }
  const double wait_error = waits.standard_deviation() / std::sqrt(40.0);
  EXPECT_NEAR(waits.mean(), theory, 4.0 * wait_error) << "rho " << rho;
  // A bound so wide that it could not fail would prove nothing.
  EXPECT_LT(4.0 * wait_error, 0.06 * theory) << "rho " << rho;
  const double utilization_error = utilizations.standard_deviation() / std::sqrt(40.0);
  EXPECT_NEAR(utilizations.mean(), rho, 4.0 * utilization_error) << "rho " << rho;
}

TEST(QueueingTheory, MD1WaitsAsPollaczekAndKhinchineSay) {
  for (const double rho : {0.3, 0.6, 0.9}) {
    expect_mean_wait(Service::deterministic, rho, rho * kServiceSeconds / (2.0 * (1.0 - rho)));
  }
}

TEST(QueueingTheory, MM1WaitsTwiceAsLong) {
  for (const double rho : {0.3, 0.6}) {
    expect_mean_wait(Service::exponential, rho, rho * kServiceSeconds / (1.0 - rho));
  }
}

TEST(QueueingTheory, LittlesLawHoldsToThePicosecond) {
  // From empty to empty the area under the queue length is the sum of the waits, sample by
  // sample and not only in the mean. The last fifth of a run ends empty; so does a whole run.
  Engine<ServerEvent> engine;
  Resource<std::uint32_t> server;
  Random random(7);
  constexpr std::uint32_t kTasks = 10'000;
  const auto begin = [&](std::uint32_t task) {
    engine.after(SimTime::from(Seconds{kServiceSeconds}), Priority::complete,
                 {Change::complete, task});
  };
  SimTime arrival;
  for (std::uint32_t task = 0; task < kTasks; ++task) {
    arrival += SimTime::from(Seconds{random.exponential() * kServiceSeconds / 0.8});
    engine.at(arrival, Priority::admit, {Change::arrive, task});
  }
  engine.run([&](const ServerEvent& event) {
    if (event.kind == Change::arrive) {
      if (server.request(engine.now(), event.task)) begin(event.task);
    } else if (const auto next = server.complete(engine.now())) {
      begin(*next);
    }
  });
  const ResourceUse use = server.use(engine.now());
  ASSERT_EQ(use.started, kTasks);
  const double area = use.mean_queue_length * static_cast<double>(use.elapsed.picoseconds());
  const double waits = static_cast<double>(use.mean_wait.picoseconds()) * kTasks;
  EXPECT_GT(waits, 0.0);
  // mean_wait is cut to whole picoseconds, so the sum may be short by one for each task.
  EXPECT_NEAR(area, waits, kTasks);
  EXPECT_EQ(use.busy, SimTime::from(Seconds{kServiceSeconds}) * kTasks);
}

}  // namespace
}  // namespace ridge::des
