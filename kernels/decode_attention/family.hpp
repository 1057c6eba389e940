#pragma once

#include "bench/family.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/schedule.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace ridge::kernels::decode {

/// The family's entry for ridge-bench. Defined in family.cu; the functions below, in family.cpp,
/// are its host half.
const bench::Family& decode_attention_family();

std::vector<bench::Point> grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> cases(bench::Extent extent, const bench::DeviceFacts& device);
std::string explain(const bench::Point& point, const bench::DeviceFacts& device);

/// Whether a kernel multiplies a BF16 cache by P in one term.
bool one_term(std::string_view kernel);

/// Whether the device has what the kernel is made of, and the kernel serves the shape.
bool runs(std::string_view kernel, const bench::Shape& shape, const bench::DeviceFacts& device);

/// Whether the sets of a shape that the timer rotates over fit into the device.
bool fits(const Problem& problem, const bench::DeviceFacts& device);

/// MLA is a family of its own, since other fields name its shapes; what is made of a shape is the
/// same. Its host half is in latent_family.cpp.
const bench::Family& latent_attention_family();

std::vector<bench::Point> latent_grid(bench::Extent extent, const bench::DeviceFacts& device);
std::vector<bench::Case> latent_cases(bench::Extent extent, const bench::DeviceFacts& device);
std::string explain_latent(const bench::Point& point, const bench::DeviceFacts& device);

/// A launch in numbers, before it runs.
struct LaunchPlan {
  bench::Work work;          ///< Compulsory.
  double fetched_bytes = 0;  ///< What the kernel reads of the cache: whole tiles, per row block.
  double partial_bytes = 0;  ///< Written and read again to merge split segments.
  double issued_flop = 0;  ///< What the matrix units execute: whole tiles of `rows` and 64 tokens.
  int ctas = 0;
  int segments = 0;
  int results = 0;
  int merges = 0;
  int paired = 0;      ///< Merges within a pair of CTAs, before those.
  int most_tiles = 0;  ///< Of any CTA
  int least_tiles = 0;
};

/// `rows`: query heads that a tile's products are computed for (computed_heads).
LaunchPlan launch_plan(const Problem& problem, const Schedule& schedule, bool one_term = false,
                       int rows = kTileRows);

/// The lines of --explain that are the same for every instance: grid, splits, bytes and FLOP.
std::string explain(const LaunchPlan& plan, const Schedule& schedule,
                    const bench::DeviceFacts& device);

}  // namespace ridge::kernels::decode
