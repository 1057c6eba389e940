#include "bench/item.hpp"
#include "bench/options.hpp"
#include "bench/platform.hpp"
#include "bench/supervise.hpp"
#include "bench/worker.hpp"

#include <cstdio>
#include <exception>

namespace ridge::kernels::bench {
namespace {

/// A common data-center Hopper device, for --explain and --list where there is none.
constexpr DeviceFacts kAssumed = {.sm_count = 132,
                                  .l2_bytes = 50ull << 20,
                                  .memory_bytes = 80'000'000'000ull,
                                  .free_bytes = 78'000'000'000ull,
                                  .capability = 90};

void list(const Platform& platform, Options options, const DeviceFacts& facts) {
  for (const Family* family : chosen_families(platform.families, options)) {
    options.extent = Extent::kQuick;
    const std::size_t quick = point_items(*family, options, facts).size();
    options.extent = Extent::kFull;
    std::printf("%-20s %4zu quick, %5zu full, %3zu cases  %s\n", std::string(family->name).c_str(),
                quick, point_items(*family, options, facts).size(),
                case_items(*family, Extent::kFull, options, facts).size(),
                std::string(family->summary).c_str());
  }
}

void explain(const Platform& platform, const Options& options, const DeviceFacts& facts) {
  for (const Family* family : chosen_families(platform.families, options)) {
    for (const Item& item : point_items(*family, options, facts)) {
      std::printf("%s\n%s\n", item.key.c_str(), family->explain(item.point, facts).c_str());
    }
  }
}

int act(const Platform& platform, const Options& options, const std::string& command) {
  switch (options.action) {
    case Action::kHelp:
      std::fputs(usage().c_str(), stdout);
      return kDone;
    case Action::kDescribe:
      return describe_machine(platform);
    case Action::kWork:
      return work(platform);
    case Action::kList:
    case Action::kExplain: {
      DeviceFacts facts = kAssumed;
      if (const auto obstacle = platform.why_no_device()) {
        std::fprintf(stderr,
                     "ridge-bench: %s; assuming 132 SMs, 50 MiB of L2 and 80 GB of memory\n",
                     obstacle->c_str());
      } else {
        facts = platform.query_facts();
      }
      options.action == Action::kList ? list(platform, options, facts)
                                      : explain(platform, options, facts);
      return kDone;
    }
    case Action::kMeasure:
    case Action::kCheck:
      return supervise(platform, options, command);
  }
  return kUsage;
}

}  // namespace

int run(const Platform& platform, const std::vector<std::string>& arguments) {
  std::string command = "ridge-bench";
  for (const std::string& argument : arguments) {
    command += " " + argument;
  }
  try {
    return act(platform, parse_options(arguments), command);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "ridge-bench: %s\n", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ridge-bench: %s\n", error.what());
    return kFailed;
  }
}

}  // namespace ridge::kernels::bench
