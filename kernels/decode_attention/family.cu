#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/random.hpp"
#include "decode_attention/device_case.hpp"
#include "decode_attention/family.hpp"
#include "decode_attention/launch.hpp"
#include "decode_attention/reference.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

namespace ridge::kernels::decode {
namespace {

// ---- correctness
// -----------------------------------------------------------------------------------

Implementation implementation_of(const std::string& kernel) {
  return kernel == "portable"         ? Implementation::kPortable
         : kernel == "ridge_one_term" ? Implementation::kHopperOneTerm
         : kernel == "ridge_seesaw"   ? Implementation::kHopperSeesaw
                                      : Implementation::kHopper;
}

/// One poisoned, complete execution; outputs come back as the bits that were written.
struct Outputs {
  std::vector<float> output;  ///< Raw words; in a BF16 run the first half holds pairs of BF16.
  std::vector<float> lse;
};

Outputs execute(const std::string& kernel, const Problem& problem, DeviceCase& device, int sm_count,
                bool output_float) {
  device.output.fill_bytes(0xff);
  device.lse.fill_bytes(0xff);
  device.arguments.output_float = output_float;
  if (kernel == "simple") {
    launch_simple(problem, device.arguments, device.kv_lengths.data(), nullptr);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  } else {
    const Launch launch(problem, device.arguments, sm_count, implementation_of(kernel));
    launch.run(nullptr);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }
  return {device.output.download(), device.lse.download()};
}

std::string describe_worst(const Problem& problem, const std::vector<double>& got,
                           const std::vector<double>& want) {
  std::size_t worst = 0;
  std::size_t nans = 0;
  double largest = -1;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double difference =
        std::isnan(got[i]) ? std::numeric_limits<double>::infinity() : std::abs(got[i] - want[i]);
    nans += std::isnan(got[i]) ? 1 : 0;
    if (difference > largest) {
      largest = difference;
      worst = i;
    }
  }
  const std::size_t dim = problem.value_dim();
  const std::size_t vector = worst / dim;
  char text[256];
  std::snprintf(
      text, sizeof(text),
      "worst at request %zu (length %d), head %zu, dimension %zu: got %g, expected %g; %zu of %zu "
      "elements are NaN",
      vector / problem.query_heads, problem.kv_lengths[vector / problem.query_heads],
      vector % problem.query_heads, worst % dim, got[worst], want[worst], nans, want.size());
  return text;
}

bench::CheckReport check(const bench::Case& test, const bench::DeviceFacts& facts) {
  const Problem problem = problem_from(test.shape);
  const HostInputs inputs = make_inputs(problem, 20250724);
  const Result want = reference_attention(problem, inputs);
  DeviceCase device(problem, inputs);
  const Outputs first = execute(test.kernel, problem, device, facts.sm_count, true);
  const Outputs second = execute(test.kernel, problem, device, facts.sm_count, true);
  const Outputs narrow = execute(test.kernel, problem, device, facts.sm_count, false);

  bench::CheckReport report;
  // The kernel's own error: output in float, against double. P in one BF16 term is off by 1.3e-3,
  // and with an E4M3 cache queries are rounded to F16. Of MLA's so are the products of codes and
  // scales, which shows in the scores themselves.
  report.tolerance = problem.kv_type == KvType::kE4m3 || one_term(test.kernel) ? 2e-3 : 1e-3;
  const std::vector<double> output(first.output.begin(), first.output.end());
  const std::vector<double> lse(first.lse.begin(), first.lse.end());
  report.relative_error = relative_error(output, want.output);
  const double lse_error = relative_error(lse, want.lse);
  if (!(report.relative_error <= report.tolerance)) {
    report.message = describe_worst(problem, output, want.output);
  } else if (!(lse_error <= (problem.coded_latent() ? 5e-4 : 1e-5))) {
    report.message = "log-sum-exp off by " + std::to_string(lse_error) + " relative";
  } else if (std::memcmp(first.output.data(), second.output.data(), device.output.bytes()) != 0 ||
             std::memcmp(first.lse.data(), second.lse.data(), device.lse.bytes()) != 0) {
    report.message = "two runs on the same inputs differ";
  } else {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(narrow.output.data());
    for (std::size_t i = 0; i < first.output.size(); ++i) {
      if (bits[i] != to_bf16(first.output[i]).bits) {
        report.message = "the BF16 output is not the float output rounded, first at element " +
                         std::to_string(i);
        return report;
      }
    }
    report.passed = true;
  }
  return report;
}

// ---- timing
// ----------------------------------------------------------------------------------------

/// What a pool's bytes are.
enum class CacheFormat { kBf16, kE4m3, kCodedLatent };

CacheFormat format_of(const Problem& problem) {
  return problem.coded_latent()             ? CacheFormat::kCodedLatent
         : problem.kv_type == KvType::kE4m3 ? CacheFormat::kE4m3
                                            : CacheFormat::kBf16;
}

/// Of a cache's 16-byte word: codes throughout, of a coded latent's words those of its codes.
__device__ bool holds_codes(CacheFormat format, std::uint64_t word) {
  return format == CacheFormat::kE4m3 || (format == CacheFormat::kCodedLatent &&
                                          word % (kCodedTokenBytes / 16) < kCodedScalesOffset / 16);
}

__global__ void fill_cache(uint4* cache, std::uint64_t words, CacheFormat format,
                           std::uint64_t seed) {
  const std::uint64_t stride = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  for (std::uint64_t i = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < words; i += stride) {
    if (format == CacheFormat::kCodedLatent &&
        i % (kCodedTokenBytes / 16) == kCodedScalesOffset / 16) {
      constexpr auto scale = std::bit_cast<std::uint32_t>(0.02f);
      cache[i] = make_uint4(scale, scale, scale, scale);
      continue;
    }
    const bool codes = holds_codes(format, i);
    std::uint32_t word[4];
    for (int w = 0; w < 4; ++w) {
      std::uint32_t bits = 0;
      const int elements = codes ? 4 : 2;
      for (int e = 0; e < elements; ++e) {
        const float x = random_normal(seed, (i * 4 + w) * elements + e);
        bits |= codes ? static_cast<std::uint32_t>(to_e4m3(x * 50).bits) << (8 * e)
                      : static_cast<std::uint32_t>(to_bf16(x).bits) << (16 * e);
      }
      word[w] = bits;
    }
    cache[i] = make_uint4(word[0], word[1], word[2], word[3]);
  }
}

/// A pool of random cache, shared by all points of a run: filling gigabytes per point would take
/// longer than timing them. Points differ in which pages their block tables name.
class CachePool {
 public:
  explicit CachePool(std::uint64_t seed) : seed_(seed) {}

  const uint4* provide(std::uint64_t bytes, CacheFormat format) {
    const std::uint64_t words = bytes / sizeof(uint4);
    if (cache_.size() < words || format_ != format) {
      if (cache_.size() < words) {
        cache_ = {};  // Free before allocating: both at once may not fit.
        cache_ = DeviceBuffer<uint4>(words);
      }
      format_ = format;
      const LaunchShape shape{.grid = 1024, .block = 256};
      launch_kernel(shape, fill_cache, cache_.data(), cache_.size(), format, seed_);
      RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
    }
    return cache_.data();
  }

 private:
  DeviceBuffer<uint4> cache_;
  CacheFormat format_ = CacheFormat::kBf16;
  std::uint64_t seed_;
};

CachePool& key_pool() {
  static CachePool instance(1);
  return instance;
}

CachePool& value_pool() {
  static CachePool instance(2);
  return instance;
}

class DecodeWorkload : public bench::Workload {
 public:
  DecodeWorkload(const Problem& problem, const std::string& kernel, const bench::DeviceFacts& facts)
      : problem_(problem), simple_(kernel == "simple") {
    // Of one tensor, of which there are two but in MLA.
    const int tensors = problem.latent() ? 1 : 2;
    const auto page_bytes =
        static_cast<std::uint64_t>(problem.page_tokens * problem.cached_token_bytes() / tensors);
    const auto pages = static_cast<std::uint64_t>(problem.total_pages());
    const std::uint64_t set_bytes = std::max<std::uint64_t>(tensors * pages * page_bytes, 1);
    sets_ = bench::input_sets(static_cast<double>(set_bytes), facts);
    const std::uint64_t all_pages = pages * sets_;
    arguments_.key = key_pool().provide(all_pages * page_bytes, format_of(problem));
    arguments_.value = problem.latent()
                           ? arguments_.key
                           : value_pool().provide(all_pages * page_bytes, format_of(problem));

    // Pages in a shuffled order, as a serving system's allocator leaves them.
    std::vector<std::int32_t> order(all_pages);
    for (std::uint64_t i = 0; i < all_pages; ++i) {
      order[i] = static_cast<std::int32_t>(i);
    }
    for (std::uint64_t i = all_pages; i > 1; --i) {
      // The upper half of the bits as a share of i: a remainder would take longer than the rest.
      std::swap(order[i - 1], order[(random_bits(7, i) >> 32) * i >> 32]);
    }
    stride_ = std::max(problem.max_pages(), 1);
    std::vector<std::int32_t> tables;
    tables.reserve(static_cast<std::size_t>(sets_) * problem.batch() * stride_);
    std::size_t next = 0;
    for (int set = 0; set < sets_; ++set) {
      for (const std::int32_t length : problem.kv_lengths) {
        for (int page = 0; page < stride_; ++page) {
          tables.push_back(page < problem.pages(length) ? order[next++] : -1);
        }
      }
    }
    block_tables_ = DeviceBuffer<std::int32_t>(tables);
    const std::size_t vectors = static_cast<std::size_t>(problem.batch()) * problem.query_heads;
    std::vector<std::uint16_t> query(vectors * problem.head_dim);
    for (std::size_t i = 0; i < query.size(); ++i) {
      // From there on requests ask what earlier ones did, of other keys: no time depends on it, but
      // the draws take some.
      constexpr std::size_t kDrawn = 1 << 18;
      query[i] = i < kDrawn ? to_bf16(random_normal(3, i)).bits : query[i - kDrawn];
    }
    query_ = DeviceBuffer<std::uint16_t>(query);
    output_ = DeviceBuffer<std::uint16_t>(vectors * problem.value_dim());
    lse_ = DeviceBuffer<float>(vectors);
    scales_ =
        DeviceBuffer<float>(std::vector<float>(static_cast<std::size_t>(problem.kv_heads), 0.02f));
    lengths_ = DeviceBuffer<std::int32_t>(problem.kv_lengths);

    arguments_.query = query_.data();
    arguments_.k_scale = arguments_.v_scale = scales_.data();
    arguments_.block_table = block_tables_.data();
    arguments_.block_table_stride = stride_;
    arguments_.cache_pages = static_cast<std::int64_t>(all_pages);
    arguments_.page_log2 = problem.page_log2();
    arguments_.output = output_.data();
    arguments_.lse = lse_.data();
    arguments_.query_heads = problem.query_heads;
    arguments_.kv_heads = problem.kv_heads;
    arguments_.softmax_scale = 1.0f / std::sqrt(static_cast<float>(problem.head_dim));
    if (!simple_) {
      launch_ =
          std::make_unique<Launch>(problem, arguments_, facts.sm_count, implementation_of(kernel));
    }
  }

  int sets() const override { return sets_; }

  void launch(int set, bench::Stream stream) override {
    const std::int32_t* table =
        block_tables_.data() + static_cast<std::size_t>(set) * problem_.batch() * stride_;
    if (simple_) {
      Arguments arguments = arguments_;
      arguments.block_table = table;
      launch_simple(problem_, arguments, lengths_.data(), stream);
    } else {
      launch_->run(stream, table);
    }
  }

 private:
  Problem problem_;
  bool simple_;
  int sets_ = 1;
  int stride_ = 1;
  Arguments arguments_;
  DeviceBuffer<std::int32_t> block_tables_;
  DeviceBuffer<std::uint16_t> query_;
  DeviceBuffer<std::uint16_t> output_;
  DeviceBuffer<float> lse_;
  DeviceBuffer<float> scales_;
  DeviceBuffer<std::int32_t> lengths_;
  std::unique_ptr<Launch> launch_;
};

std::unique_ptr<bench::Workload> prepare(const bench::Point& point,
                                         const bench::DeviceFacts& facts) {
  return std::make_unique<DecodeWorkload>(problem_from(point.shape), point.kernel, facts);
}

}  // namespace

const bench::Family& latent_attention_family() {
  static const bench::Family family = {
      .name = "latent_attention",
      .summary = "the same with MLA's absorbed weights: values are the head of the keys",
      .instance_fields = {"kv_dtype"},
      .grid = latent_grid,
      .explain = explain_latent,
      .cases = latent_cases,
      .check = check,
      .prepare = prepare,
      .runs = runs,
      .has_new = true,
  };
  return family;
}

const bench::Family& decode_attention_family() {
  static const bench::Family family = {
      .name = "decode_attention",
      .summary = "one new token per request against a paged KV cache: MFA, MQA, GQA",
      .instance_fields = {"head_dim", "kv_dtype"},
      .grid = grid,
      .explain = explain,
      .cases = cases,
      .check = check,
      .prepare = prepare,
      .runs = runs,
      .has_new = true,
  };
  return family;
}

}  // namespace ridge::kernels::decode
