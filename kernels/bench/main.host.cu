#include "bench/device_query.hpp"
#include "bench/platform.hpp"
#include "bench/registry.hpp"
#include "bench/timer.hpp"

int main(int argc, char** argv) {
  using namespace ridge::kernels::bench;
  return run({.families = families(),
              .why_no_device = why_no_device,
              .query_facts = query_facts,
              .describe = describe,
              .measure = measure,
              .usable = usable},
             {argv + 1, argv + argc});
}
