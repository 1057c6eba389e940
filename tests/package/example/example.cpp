// Simulates the deployment of a scenario, by its name or its file, and prints what it delivers.
#include <cstdio>
#include <exception>

#include <ridge/answer/simulation_report.hpp>
#include <ridge/scenario/simulation_scenario.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const auto report = ridge::answer::simulate(ridge::scenario::load_simulation(argv[1]));
    std::printf("%s: %.3f tokens/s on each of %lld GPUs (%s)\n", report.title.c_str(),
                report.tokens_per_second_per_gpu(), static_cast<long long>(report.gpus),
                report.provenance.c_str());
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 2;
  }
}
