#include "elementwise/family.hpp"

#include "elementwise/reference.hpp"

#include <cstdint>
#include <cstdio>

namespace ridge::kernels::elementwise {
namespace {

using I = std::int64_t;

std::vector<int> token_counts(bench::Extent extent) {
  return extent == bench::Extent::kFull ? std::vector<int>{1, 16, 64, 256, 1024, 4096, 8192}
                                        : std::vector<int>{16, 64, 256, 1024, 4096};
}

bench::Point rms_norm_point(int tokens, int hidden) {
  const double elements = static_cast<double>(tokens) * hidden;
  return {"ridge",
          {{"tokens", I{tokens}}, {"hidden", I{hidden}}},
          // BF16 in, with its weight; one code and a share of a float scale out. Square, add, two
          // products, magnitude and division.
          {elements * 2 + hidden * 2.0, elements + elements / kQuantGroup * 4, elements * 6}};
}

bench::Point rope_point(int tokens, int heads, int head_dim) {
  const double elements = static_cast<double>(tokens) * heads * head_dim;
  return {"ridge",
          {{"tokens", I{tokens}}, {"heads", I{heads}}, {"head_dim", I{head_dim}}},
          // In place; a position and a row of (cos, sin) per token. Three operations per element.
          {elements * 2 + tokens * (4.0 + head_dim * 4.0), elements * 2, elements * 3}};
}

bench::Point router_point(int tokens, int experts, int top_k) {
  const double logits = static_cast<double>(tokens) * experts;
  return {"ridge",
          {{"tokens", I{tokens}}, {"experts", I{experts}}, {"top_k", I{top_k}}},
          // Float logits in; float weights and 32-bit ids out. A comparison per logit and pick.
          {logits * 4, static_cast<double>(tokens) * top_k * 8, logits * top_k}};
}

std::string bytes_line(const char* what, const bench::Point& point) {
  char text[192];
  std::snprintf(text, sizeof(text), "  %s; %.3f MB read, %.3f MB written\n", what,
                point.work.bytes_read * 1e-6, point.work.bytes_written * 1e-6);
  return text;
}

std::vector<bench::Case> as_cases(const char* name, const std::vector<bench::Point>& points) {
  std::vector<bench::Case> result;
  for (const bench::Point& point : points) {
    result.push_back({point.kernel, name, point.shape});
  }
  return result;
}

}  // namespace

std::vector<bench::Point> rms_norm_quantize_grid(bench::Extent extent, const bench::DeviceFacts&) {
  std::vector<bench::Point> points;
  for (const int hidden : {7168, 4096}) {
    for (const int tokens : token_counts(extent)) {
      points.push_back(rms_norm_point(tokens, hidden));
    }
  }
  return points;
}

std::vector<bench::Point> rope_grid(bench::Extent extent, const bench::DeviceFacts&) {
  std::vector<bench::Point> points;
  for (const int tokens : token_counts(extent)) {
    points.push_back(rope_point(tokens, 64 + 1, 256));  // MFA: queries and the one shared key
    points.push_back(rope_point(tokens, 64 + 4, 128));  // GQA 64 / 4
  }
  return points;
}

std::vector<bench::Point> router_top_k_grid(bench::Extent extent, const bench::DeviceFacts&) {
  std::vector<bench::Point> points;
  for (const int tokens : token_counts(extent)) {
    points.push_back(router_point(tokens, 48, 3));   // Step-3
    points.push_back(router_point(tokens, 256, 8));  // DeepSeek-V3
    points.push_back(router_point(tokens, 128, 8));  // Qwen3-235B
  }
  return points;
}

std::vector<bench::Case> rms_norm_quantize_cases(bench::Extent, const bench::DeviceFacts&) {
  return as_cases("codes and scales are the reference's",
                  {rms_norm_point(1, 128), rms_norm_point(5, 4096), rms_norm_point(33, 7168)});
}

std::vector<bench::Case> rope_cases(bench::Extent, const bench::DeviceFacts&) {
  return as_cases("equals the rotation in double",
                  {rope_point(1, 1, 64), rope_point(7, 65, 256), rope_point(3, 68, 128)});
}

std::vector<bench::Case> router_top_k_cases(bench::Extent, const bench::DeviceFacts&) {
  return as_cases("chooses the reference's experts",
                  {router_point(1, 48, 3), router_point(100, 256, 8), router_point(9, 128, 8),
                   router_point(4, 5, 5)});
}

std::string rms_norm_quantize_explain(const bench::Point& point, const bench::DeviceFacts&) {
  return bytes_line("a CTA of 256 threads per token, the row held in registers", point);
}

std::string rope_explain(const bench::Point& point, const bench::DeviceFacts&) {
  return bytes_line("a thread per four pairs, cosines and sines from a table", point);
}

std::string router_top_k_explain(const bench::Point& point, const bench::DeviceFacts&) {
  return bytes_line("a warp per token, one warp-wide maximum per pick", point);
}

}  // namespace ridge::kernels::elementwise
