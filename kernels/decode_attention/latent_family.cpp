#include "decode_attention/family.hpp"
#include "decode_attention/latent_plan.hpp"
#include "decode_attention/seesaw_plan.hpp"

#include <algorithm>
#include <cstdio>

namespace ridge::kernels::decode {
namespace {

std::string explain_seesaw(const Problem& problem) {
  const SeesawPlan plan = seesaw_plan();
  char text[384];
  std::snprintf(
      text, sizeof(text),
      "  tile    64 query rows (%d used) x 64 tokens x %d, of which %d are the value; %d slots of "
      "%.0f KiB, free in %d parts; %.0f of %.0f KiB shared\n"
      "  threads %d: one producer warp (TMA), two warpgroups in turns, each for half of the "
      "values; "
      "registers %d / %d\n",
      std::min(problem.group(), kTileRows), kLatentKeyDim, kLatentRank, kSeesawWarpgroups,
      plan.slot_bytes / 1024.0, kSeesawParts, plan.total_bytes / 1024.0, kSharedLimitBytes / 1024.0,
      kSeesawThreads, kProducerRegisters, kConsumerRegisters);
  return text;
}

/// Extent::kNew: the seesaw, beside the kernel of one term that it would take the place of.
std::vector<bench::Point> new_latent_points(const bench::DeviceFacts& device) {
  std::vector<bench::Point> points;
  for (const int query_heads : {128, 64}) {
    for (const int context : {2048, 8192, 32768}) {
      const bench::Shape shape = make_latent_shape(64, context, Lengths::kEqual, query_heads);
      const Problem problem = problem_from(shape);
      if (fits(problem, device)) {
        for (const char* kernel : {"ridge_one_term", "ridge_seesaw"}) {
          points.push_back({kernel, shape, problem.work(), bench::Turn::kTarget});
        }
      }
    }
  }
  return points;
}

}  // namespace

std::string explain_latent(const bench::Point& point, const bench::DeviceFacts& device) {
  const Problem problem = problem_from(point.shape);
  if (point.kernel == "simple") {
    return "  one warp per (request, query head); no tiles, no splits\n";
  }
  const Schedule schedule = make_schedule(problem, device.sm_count);
  const std::string rest =
      explain(launch_plan(problem, schedule, one_term(point.kernel)), schedule, device);
  if (point.kernel == "ridge_seesaw") {
    return explain_seesaw(problem) + rest;
  }
  const LatentPlan plan = latent_plan(problem.kv_type);
  const LatentRegisters registers = latent_registers(problem.kv_type);
  char text[512];
  std::snprintf(
      text, sizeof(text),
      "  tile    64 query rows (%d used) x 64 tokens x %d, of which %d are the value; %d slots of "
      "%.0f KiB, where %.0f land; %.0f of %.0f KiB shared\n"
      "  threads %d: one producer warp (TMA)%s, one warpgroup for scores, two for values; "
      "registers "
      "%d / %d / %d\n",
      std::min(problem.group(), kTileRows), kLatentKeyDim, kLatentRank, plan.slots,
      plan.slot_bytes / 1024.0, plan.landing_bytes / 1024.0, plan.total_bytes / 1024.0,
      kSharedLimitBytes / 1024.0, kLatentThreads,
      problem.coded_latent() ? ", three more that expand codes to F16, as the scores' do" : "",
      registers.producer, registers.score, registers.value);
  return text + rest;
}

std::vector<bench::Point> latent_grid(bench::Extent extent, const bench::DeviceFacts& device) {
  if (extent == bench::Extent::kNew) {
    return new_latent_points(device);
  }
  const bool full = extent == bench::Extent::kFull;
  // All heads on one GPU, or split over two, four, eight.
  const std::vector<int> heads = {128, 64, 32, 16};
  const std::vector<int> batches =
      full ? std::vector{1, 4, 16, 64, 84, 128, 256} : std::vector{1, 16, 64, 128, 256};
  const std::vector<int> contexts = full ? std::vector{1024, 2048, 4096, 8192, 16384, 32768}
                                         : std::vector{2048, 4096, 8192, 32768};
  std::vector<bench::Point> points;
  const auto add = [&](KvType type, int query_heads, int context, int batch, Lengths lengths) {
    const bool ragged = lengths == Lengths::kRagged;
    bench::Point point{"ridge", make_latent_shape(batch, context, lengths, query_heads, type), {}};
    const Problem problem = problem_from(point.shape);
    if (!fits(problem, device) || (ragged && (batch < 64 || context != 8192))) {
      return;
    }
    if (query_heads == 128 && batch == 64 && context == 8192 && !ragged) {
      point.turn = bench::Turn::kTarget;
    }
    point.work = problem.work();
    points.push_back(point);
    if (type == KvType::kBf16) {
      point.kernel = "ridge_one_term";
      points.push_back(point);
    }
    // The simple version is a baseline where it does not take the whole run's time.
    if (!ragged && context == 2048 && batch == 16) {
      point.turn = bench::Turn::kGrid;
      point.kernel = "simple";
      points.push_back(point);
    }
  };
  // By cache type outermost: the pools are filled once per type.
  for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
    for (const int query_heads : heads) {
      for (const int context : contexts) {
        for (const int batch : batches) {
          for (const Lengths lengths : {Lengths::kEqual, Lengths::kRagged}) {
            add(type, query_heads, context, batch, lengths);
          }
        }
      }
    }
  }
  return points;
}

std::vector<bench::Case> latent_cases(bench::Extent extent, const bench::DeviceFacts& device) {
  std::vector<bench::Case> all;
  const auto add = [&](const char* name, int batch, int context, Lengths lengths, int query_heads) {
    for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
      const bench::Shape shape = make_latent_shape(batch, context, lengths, query_heads, type);
      for (const char* kernel : {"simple", "ridge"}) {
        all.push_back({kernel, name, shape});
      }
      if (type == KvType::kBf16) {
        all.push_back({"ridge_one_term", name, shape});
        all.push_back({"ridge_seesaw", name, shape, true});
      }
    }
  };
  // From the simplest to the whole: the first failure names the stage that is wrong.
  add("one full page: one tile", 1, 64, Lengths::kEqual, 64);
  add("one partial page: masking, NaN beyond the length", 1, 5, Lengths::kEqual, 64);
  add("one token", 1, 1, Lengths::kEqual, 64);
  add("length 0 yields zeros and -inf", 3, 0, Lengths::kEqual, 64);
  add("as many requests as SMs: slots are reused, no split", device.sm_count, 200, Lengths::kEqual,
      16);
  add("one long request: split over the chip", 1, 2048 + 17, Lengths::kEqual, 64);
  add("128 query heads: two row blocks", 4, 300, Lengths::kRagged, 128);
  add("fewer query heads than a tile has rows", 2, 130, Lengths::kEqual, 16);
  add("more query heads than one tile has rows, fewer than two", 2, 130, Lengths::kEqual, 96);
  if (extent == bench::Extent::kFull) {
    for (const int length : {63, 65, 127, 128, 129, 1023, 8192}) {
      add("around page boundaries", 2, length, Lengths::kEqual, 128);
    }
    add("many ragged requests", 300, 150, Lengths::kRagged, 128);
  }
  return all;
}

}  // namespace ridge::kernels::decode
