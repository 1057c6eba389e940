#include "decode_attention/family.hpp"

#include "decode_attention/portable_plan.hpp"
#include "decode_attention/seesaw_plan.hpp"
#include "decode_attention/tile_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>

namespace ridge::kernels::decode {
namespace {

struct Heads {
  int query_heads;
  int kv_heads;
  int head_dim;
};

/// MFA and GQA of published models (arXiv 2507.19427 and 2505.09388): the shapes of the targets.
constexpr Heads kMfa{64, 1, 256};
constexpr Heads kGqa{64, 4, 128};

bool is_target(const Heads& h, int batch, int context) {
  const auto is = [&](int b, int c) { return batch == b && context == c; };
  const bool mfa = h.kv_heads == 1 && h.query_heads == 64 && h.head_dim == 256;
  const bool gqa = h.kv_heads == 4 && h.query_heads == 64 && h.head_dim == 128;
  return (mfa && (is(1, 4096) || is(64, 2048) || is(64, 4096) || is(64, 8192) || is(64, 32768) ||
                  is(256, 8192) || is(1024, 8192))) ||
         (gqa && is(64, 8192));
}

}  // namespace

LaunchPlan launch_plan(const Problem& problem, const Schedule& schedule, bool one_term, int rows) {
  LaunchPlan plan;
  plan.work = problem.work();
  plan.ctas = schedule.ctas();
  plan.segments = static_cast<int>(schedule.segments.size());
  plan.merges = static_cast<int>(schedule.merges.size());
  plan.least_tiles = plan.ctas > 0 ? std::numeric_limits<int>::max() : 0;
  plan.results = problem.batch() * problem.kv_heads * ((problem.group() - 1) / kTileRows + 1);
  for (const Segment& segment : schedule.segments) {
    plan.paired += segment.paired;
  }
  plan.paired /= 2;
  double tiles = 0;
  for (int cta = 0; cta < schedule.ctas(); ++cta) {
    int mine = 0;
    for (int i = schedule.cta_begin[cta]; i < schedule.cta_begin[cta + 1]; ++i) {
      mine += schedule.segments[i].tiles;
    }
    plan.most_tiles = std::max(plan.most_tiles, mine);
    plan.least_tiles = std::min(plan.least_tiles, mine);
    tiles += mine;
  }
  plan.fetched_bytes =
      tiles * kTileTokens * static_cast<double>(problem.cached_token_bytes()) / problem.kv_heads;
  plan.partial_bytes = 2.0 * schedule.partials * std::min(problem.group(), kTileRows) *
                       (problem.value_dim() + 1) * sizeof(float);
  plan.issued_flop =
      tiles * rows * kTileTokens * 2 *
      (problem.head_dim + problem.value_dim() * value_passes(problem.kv_type, one_term));
  return plan;
}

std::string explain(const LaunchPlan& plan, const Schedule& schedule,
                    const bench::DeviceFacts& device) {
  const double bytes = plan.work.bytes_read + plan.work.bytes_written;
  char text[640];
  std::snprintf(
      text, sizeof(text),
      "  grid    %d CTAs in one wave on %d SMs; %d segments, %d to %d tiles per CTA\n"
      "  splits  %d of %d results merged from %d parts, %.2f MB of partial results; %d merges in "
      "pairs of CTAs\n"
      "  bytes   %.2f MB compulsory, %.2f MB fetched (whole tiles, once per 64 query heads)\n"
      "  flop    %.3f GFLOP needed, %.3f GFLOP issued (whole tiles); %.0f flop per compulsory "
      "byte\n",
      plan.ctas, device.sm_count, plan.segments, plan.least_tiles, plan.most_tiles, plan.merges,
      plan.results, schedule.partials, plan.partial_bytes * 1e-6, plan.paired, bytes * 1e-6,
      plan.fetched_bytes * 1e-6, plan.work.flop * 1e-9, plan.issued_flop * 1e-9,
      plan.work.flop / bytes);
  return text;
}

std::string explain(const bench::Point& point, const bench::DeviceFacts& device) {
  const Problem problem = problem_from(point.shape);
  if (point.kernel == "simple") {
    return "  one warp per (request, query head); no tiles, no splits\n";
  }
  const Schedule schedule = point.kernel == "ridge" ? make_best_schedule(problem, device.sm_count)
                                                    : make_schedule(problem, device.sm_count);
  if (point.kernel == "portable") {
    const PortablePlan plan = portable_plan(problem.head_dim, problem.kv_type);
    char text[192];
    std::snprintf(text, sizeof(text),
                  "  tile    64 query rows (%d used) x %d tokens x %d; %d stages, %.0f KiB shared\n"
                  "  threads %d: warps of 16 rows (cp.async, ldmatrix, mma.sync)\n",
                  std::min(problem.group(), kTileRows), plan.tile_tokens, problem.head_dim,
                  kPortableStages, plan.total_bytes / 1024.0, portable_threads(problem.head_dim));
    return text + explain(launch_plan(problem, schedule), schedule, device);
  }
  const TilePlan tile = tile_plan(problem.head_dim, problem.kv_type);
  const int rows = computed_heads(problem.head_dim, problem.kv_type, problem.group());
  char text[384];
  std::snprintf(
      text, sizeof(text),
      "  tile    %d query rows (%d used) x 64 tokens x %d; %d slots of %.0f KiB, %.0f of %.0f KiB "
      "shared\n"
      "  threads 384: one producer warp (TMA), two consumer warpgroups; registers %d / %d\n",
      rows, std::min(problem.group(), kTileRows), problem.head_dim, tile.slots,
      tile.slot_bytes / 1024.0, tile.total_bytes / 1024.0, kSharedLimitBytes / 1024.0,
      kProducerRegisters, kConsumerRegisters);
  return text +
         explain(launch_plan(problem, schedule, one_term(point.kernel), rows), schedule, device);
}

bool one_term(std::string_view kernel) {
  return kernel == "ridge_one_term" || kernel == "ridge_seesaw";
}

bool runs(std::string_view kernel, const bench::Shape& shape, const bench::DeviceFacts& device) {
  if (device.capability < 80) {
    return false;  // No BF16 products, no cp.async.
  }
  // wgmma, setmaxnreg and the copy engine as they are used here are of Hopper and no later chip.
  return !kernel.starts_with("ridge") ||
         (device.capability == 90 &&
          (kernel != "ridge_seesaw" || seesaw_serves(problem_from(shape))));
}

bool fits(const Problem& problem, const bench::DeviceFacts& device) {
  const double cache = static_cast<double>(problem.total_tokens()) *
                       static_cast<double>(problem.cached_token_bytes());
  // Beyond 10 GB nothing new is learned, and filling the cache takes longer than timing it.
  const double most = std::min(0.6 * static_cast<double>(device.free_bytes), 20e9);
  return cache * bench::input_sets(cache, device) <= most;
}

namespace {

/// Extent::kNew: the portable kernel, whose copies of whole pages go without page arithmetic again.
std::vector<bench::Point> new_points(const bench::DeviceFacts& device) {
  std::vector<bench::Point> points;
  for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
    for (const int page_tokens : {kTileTokens, kLeastPageTokens}) {
      for (const int context : {2048, 8192}) {
        const bench::Shape shape = make_shape(64, context, Lengths::kEqual, kMfa.query_heads,
                                              kMfa.kv_heads, kMfa.head_dim, type, page_tokens);
        const Problem problem = problem_from(shape);
        if (fits(problem, device)) {
          for (const char* kernel : {"ridge", "portable"}) {
            points.push_back({kernel, shape, problem.work(), bench::Turn::kTarget});
          }
        }
      }
    }
  }
  return points;
}

}  // namespace

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device) {
  if (extent == bench::Extent::kNew) {
    return new_points(device);
  }
  const bool full = extent == bench::Extent::kFull;
  // At least four shapes of a head dimension, so that a calibration can leave out whole shapes.
  std::vector<Heads> heads = {kMfa,        {128, 1, 256}, {32, 1, 256}, {32, 2, 256},
                              kGqa,        {64, 8, 128},  {32, 8, 128}, {32, 1, 128},
                              {16, 2, 64}, {64, 8, 64},   {32, 8, 64},  {32, 4, 64}};
  std::vector<int> batches = {1, 16, 64, 84, 128, 256};
  std::vector<int> contexts = {2048, 4096, 8192, 32768};
  if (full) {
    heads.insert(heads.end(), {{128, 8, 128}, {16, 1, 256}});
    batches = {1, 4, 16, 64, 84, 128, 256, 1024};
    contexts = {512, 2048, 4096, 8192, 32768, 131072};
  }
  std::vector<bench::Point> points;
  const auto add = [&](const Heads& h, int batch, int context, Lengths lengths, KvType type,
                       int page_tokens = kTileTokens) {
    bench::Point point{"ridge",
                       make_shape(batch, context, lengths, h.query_heads, h.kv_heads, h.head_dim,
                                  type, page_tokens),
                       {},
                       is_target(h, batch, context) && lengths == Lengths::kEqual
                           ? bench::Turn::kTarget
                           : bench::Turn::kGrid};
    const Problem problem = problem_from(point.shape);
    if (!fits(problem, device)) {
      return;
    }
    point.work = problem.work();
    points.push_back(point);
    if (type == KvType::kBf16 && point.turn == bench::Turn::kTarget) {
      point.kernel = "ridge_one_term";
      points.push_back(point);
    }
    // Where the Hopper kernel runs the portable one is a baseline, elsewhere it is what there is.
    if (device.capability != 90 || point.turn == bench::Turn::kTarget) {
      point.kernel = "portable";
      points.push_back(point);
    }
    // The simple version is a baseline where it does not take the whole run's time.
    if (lengths == Lengths::kEqual && context == 2048 && batch >= 16 && batch <= 64) {
      point.kernel = "simple";
      point.turn = bench::Turn::kGrid;
      points.push_back(point);
    }
  };
  // By cache type outermost: the pools are filled once per type.
  for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
    for (const Heads& h : heads) {
      for (const int context : contexts) {
        for (const int batch : batches) {
          add(h, batch, context, Lengths::kEqual, type);
          if (batch >= 64 && context == 8192) {
            add(h, batch, context, Lengths::kRagged, type);
          }
        }
      }
    }
    if (!full) {
      add(kMfa, 1024, 8192, Lengths::kEqual, type);
    }
    for (const int page_tokens : {16, 32, 128}) {
      add(kMfa, 64, 8192, Lengths::kEqual, type, page_tokens);
    }
  }
  return points;
}

std::vector<bench::Case> cases(bench::Extent extent, const bench::DeviceFacts& device) {
  std::vector<bench::Case> all;
  const auto add = [&](const char* name, const bench::Shape& shape) {
    for (const char* kernel : {"simple", "portable", "ridge"}) {
      all.push_back({kernel, name, shape, std::string_view(kernel) == "portable"});
    }
    if (shape.word("kv_dtype") == "bf16") {
      all.push_back({"ridge_one_term", name, shape});
    }
  };
  const auto add_pairs = [&](const char* name, const bench::Shape& shape) {
    all.push_back({"ridge", name, shape});
  };
  for (const KvType type : {KvType::kBf16, KvType::kE4m3}) {
    const auto shape = [type](int batch, int context, Lengths lengths, Heads h) {
      return make_shape(batch, context, lengths, h.query_heads, h.kv_heads, h.head_dim, type);
    };
    // From the simplest to the whole: the first failure names the stage that is wrong.
    add("one full page: one tile, no merge", shape(1, 64, Lengths::kEqual, {64, 1, 256}));
    add("one partial page: masking, NaN beyond the length",
        shape(1, 5, Lengths::kEqual, {64, 1, 256}));
    add("one token", shape(1, 1, Lengths::kEqual, {64, 1, 256}));
    add("length 0 yields zeros and -inf", shape(3, 0, Lengths::kEqual, {64, 1, 256}));
    add("as many requests as SMs: the two consumers merge, no split",
        shape(device.sm_count, 200, Lengths::kEqual, {64, 1, 256}));
    add("ten tiles per CTA: every slot is used again and again",
        shape(device.sm_count, 640, Lengths::kEqual, {16, 1, 256}));
    add("one long request: split over the chip",
        shape(1, 2048 + 17, Lengths::kEqual, {64, 1, 256}));
    add("one long request, 16 of 64 rows used: split over the chip",
        shape(1, 2048 + 17, Lengths::kEqual, {64, 4, 128}));
    add("one long request with a head_dim of 128: split over the chip",
        shape(1, 2048 + 17, Lengths::kEqual, {64, 1, 128}));
    add("ragged batch", shape(16, 300, Lengths::kRagged, {64, 1, 256}));
    add("GQA: 16 of 64 rows used", shape(4, 700, Lengths::kRagged, {64, 4, 128}));
    add("head_dim 64", shape(4, 700, Lengths::kRagged, {16, 2, 64}));
    add("128 query heads of one KV head: two row blocks",
        shape(4, 300, Lengths::kRagged, {128, 1, 256}));
    if (type == KvType::kE4m3) {
      add("32 query heads of one KV head: products of 32 columns, split over the chip",
          shape(1, 2048 + 17, Lengths::kEqual, {32, 1, 128}));
      add("24 query heads of each KV head", shape(4, 300, Lengths::kRagged, {48, 2, 256}));
    }
    // By pairs of CTAs: what a case needs for that.
    add_pairs("half as many requests as SMs: each is one pair's, nothing else to merge",
              shape(device.sm_count / 2, 200, Lengths::kEqual, {64, 1, 256}));
    add_pairs("ragged batch: a pair's other work comes first",
              shape(5, 300, Lengths::kRagged, {32, 2, 128}));
    add_pairs("head_dim 64, in pairs", shape(3, 300, Lengths::kRagged, {16, 2, 64}));
    const auto paged = [type](int tokens, Heads h, int page_tokens) {
      return make_shape(4, tokens, Lengths::kRagged, h.query_heads, h.kv_heads, h.head_dim, type,
                        page_tokens);
    };
    add("pages of 16 tokens: four to a tile", paged(150, {64, 4, 128}, 16));
    add("pages of 32 tokens: two to a tile", paged(150, {16, 2, 64}, 32));
    add("pages of 128 tokens: two tiles each", paged(300, {64, 1, 256}, 128));
    if (extent == bench::Extent::kFull) {
      for (const int page_tokens : {16, 32, 128}) {
        for (const Heads h : {Heads{64, 1, 256}, Heads{64, 4, 128}, Heads{16, 2, 64}}) {
          add("pages of other sizes", paged(700, h, page_tokens));
        }
      }
      for (const int length : {63, 65, 127, 128, 129, 1023, 8192}) {
        add("around page boundaries", shape(2, length, Lengths::kEqual, {64, 1, 256}));
      }
      for (const Heads h :
           {Heads{16, 1, 64}, Heads{128, 1, 64}, Heads{16, 8, 128}, Heads{128, 8, 128},
            Heads{96, 2, 128}, Heads{48, 3, 256}, Heads{16, 1, 256}}) {
        add("corners of the family", shape(5, 400, Lengths::kRagged, h));
      }
      add("many ragged requests", shape(300, 150, Lengths::kRagged, {64, 1, 256}));
    }
  }
  return all;
}

}  // namespace ridge::kernels::decode
