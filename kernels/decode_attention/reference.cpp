#include "decode_attention/reference.hpp"

#include "common/numeric.hpp"
#include "common/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

namespace ridge::kernels::decode {
namespace {

/// Streams of the counter-based generator; the seed's low bits pick the tensor.
enum Stream : std::uint64_t { kQuery, kKey, kValue, kScales, kPages, kGarbage, kStreams };

std::uint64_t stream(std::uint64_t seed, Stream which) {
  return seed * kStreams + which;
}

void store(std::vector<std::uint8_t>& cache, KvType type, std::size_t index, float x) {
  if (type == KvType::kBf16) {
    const std::uint16_t bits = to_bf16(x).bits;
    cache[2 * index] = static_cast<std::uint8_t>(bits & 0xff);
    cache[2 * index + 1] = static_cast<std::uint8_t>(bits >> 8);
  } else {
    cache[index] = to_e4m3(x).bits;
  }
}

double load(const std::vector<std::uint8_t>& cache, KvType type, std::size_t index) {
  if (type == KvType::kBf16) {
    return to_float(
        Bf16{static_cast<std::uint16_t>(cache[2 * index] | (cache[2 * index + 1] << 8))});
  }
  return to_float(E4m3{cache[index]});
}

/// Writes a token's latent and rotary part, from byte `at` on, as codes, scales and BF16. Every
/// scale makes use of the codes' whole range, as a serving system's kernel does.
void store_coded(std::vector<std::uint8_t>& cache, std::size_t at, const float* values) {
  for (int block = 0; block < kLatentScales; ++block) {
    const float* const mine = values + block * kLatentScaledValues;
    const float largest =
        std::abs(*std::max_element(mine, mine + kLatentScaledValues,
                                   [](float a, float b) { return std::abs(a) < std::abs(b); }));
    const float scale = largest > 0 ? largest / kE4m3Max : 1.0f;
    for (int i = 0; i < kLatentScaledValues; ++i) {
      store(cache, KvType::kE4m3, at + block * kLatentScaledValues + i, mine[i] / scale);
    }
    std::memcpy(cache.data() + at + kCodedScalesOffset + sizeof(scale) * block, &scale,
                sizeof(scale));
  }
  for (int i = 0; i < kLatentRopeDim; ++i) {
    store(cache, KvType::kBf16, (at + kCodedRopeOffset) / 2 + i, values[kLatentRank + i]);
  }
}

double load_coded(const std::vector<std::uint8_t>& cache, std::size_t at, std::size_t d) {
  if (d >= kLatentRank) {
    return load(cache, KvType::kBf16, (at + kCodedRopeOffset) / 2 + d - kLatentRank);
  }
  float scale = 0;
  std::memcpy(&scale,
              cache.data() + at + kCodedScalesOffset + sizeof(scale) * (d / kLatentScaledValues),
              sizeof(scale));
  return load(cache, KvType::kE4m3, at + d) * scale;
}

/// The row of the cache that holds a token.
std::size_t cache_row(const Problem& problem, const HostInputs& inputs, int request, int token,
                      int kv_head) {
  const auto page = static_cast<std::size_t>(
      inputs.block_table[static_cast<std::size_t>(request) * inputs.block_table_stride +
                         token / problem.page_tokens]);
  return (page * problem.kv_heads + kv_head) * problem.page_tokens + token % problem.page_tokens;
}

}  // namespace

HostInputs make_inputs(const Problem& problem, std::uint64_t seed, const Hazards& hazards,
                       float sharpness) {
  problem.validate();
  HostInputs inputs;
  inputs.softmax_scale = 1.0f / std::sqrt(static_cast<float>(problem.head_dim));
  inputs.cache_pages = problem.total_pages() + 1;  // One that belongs to nobody.
  inputs.block_table_stride = problem.max_pages() + 3;

  const std::size_t queries =
      static_cast<std::size_t>(problem.batch()) * problem.query_heads * problem.head_dim;
  inputs.query.resize(queries);
  for (std::size_t i = 0; i < queries; ++i) {
    inputs.query[i] = to_bf16(sharpness * random_normal(stream(seed, kQuery), i)).bits;
  }

  // FP8 caches use the format's range through their scales, as a calibrated model would.
  const bool fp8 = problem.kv_type == KvType::kE4m3;
  for (std::uint64_t head = 0;
       fp8 && !problem.latent() && head < static_cast<std::uint64_t>(problem.kv_heads); ++head) {
    inputs.k_scale.push_back(0.01f + 0.02f * random_uniform(stream(seed, kScales), 2 * head));
    inputs.v_scale.push_back(0.01f + 0.02f * random_uniform(stream(seed, kScales), 2 * head + 1));
  }
  const std::size_t rows =
      static_cast<std::size_t>(inputs.cache_pages) * problem.kv_heads * problem.page_tokens;
  const auto dim = static_cast<std::size_t>(problem.head_dim);
  if (problem.coded_latent()) {
    inputs.key.resize(rows * kCodedTokenBytes);
    std::vector<float> values(dim);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t d = 0; d < dim; ++d) {
        // Scales differ by up to 4 from token to token and from block to block.
        const std::size_t block = row * (kLatentScales + 1) + d / kLatentScaledValues;
        values[d] = random_normal(stream(seed, kKey), row * dim + d) *
                    std::exp2(2 * random_uniform(stream(seed, kScales), block) - 1);
      }
      store_coded(inputs.key, row * kCodedTokenBytes, values.data());
    }
  } else {
    const std::size_t elements = rows * dim;
    inputs.key.resize(elements * kv_element_bytes(problem.kv_type));
    if (!problem.latent()) {
      inputs.value.resize(inputs.key.size());
    }
    for (std::size_t i = 0; i < elements; ++i) {
      const std::size_t head = i / (static_cast<std::size_t>(problem.page_tokens) * dim) %
                               static_cast<std::size_t>(problem.kv_heads);
      store(inputs.key, problem.kv_type, i,
            random_normal(stream(seed, kKey), i) / (fp8 ? inputs.k_scale[head] : 1.0f));
      if (!problem.latent()) {
        store(inputs.value, problem.kv_type, i,
              random_normal(stream(seed, kValue), i) / (fp8 ? inputs.v_scale[head] : 1.0f));
      }
    }
  }

  std::vector<std::int32_t> pages(static_cast<std::size_t>(inputs.cache_pages));
  std::iota(pages.begin(), pages.end(), 0);
  for (std::size_t i = pages.size() - 1; i > 0; --i) {
    std::swap(pages[i], pages[random_bits(stream(seed, kPages), i) % (i + 1)]);
  }
  inputs.block_table.resize(static_cast<std::size_t>(problem.batch()) * inputs.block_table_stride,
                            0);
  std::size_t next = 0;
  for (int request = 0; request < problem.batch(); ++request) {
    const std::int32_t length = problem.kv_lengths[request];
    std::int32_t* row =
        inputs.block_table.data() + static_cast<std::size_t>(request) * inputs.block_table_stride;
    const auto used = static_cast<int>(problem.pages(length));
    for (int page = 0; page < used; ++page) {
      row[page] = pages[next++];
    }
    for (int page = used; hazards.garbage_page_ids && page < inputs.block_table_stride; ++page) {
      row[page] =
          static_cast<std::int32_t>((random_bits(stream(seed, kGarbage), page) >> 34) | (1u << 30));
    }
    if (hazards.nan_in_unused_slots && length % problem.page_tokens != 0) {
      for (int kv_head = 0; kv_head < problem.kv_heads; ++kv_head) {
        for (int token = length; token < used * problem.page_tokens; ++token) {
          const std::size_t cached = cache_row(problem, inputs, request, token, kv_head);
          if (problem.coded_latent()) {  // All ones are a NaN of each of its formats.
            std::fill_n(inputs.key.begin() + static_cast<std::ptrdiff_t>(cached * kCodedTokenBytes),
                        kCodedTokenBytes, std::uint8_t{0xff});
            continue;
          }
          for (std::size_t d = 0; d < dim; ++d) {
            constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
            store(inputs.key, problem.kv_type, cached * dim + d, kNan);
            if (!problem.latent()) {
              store(inputs.value, problem.kv_type, cached * dim + d, kNan);
            }
          }
        }
      }
    }
  }
  return inputs;
}

Result reference_attention(const Problem& problem, const HostInputs& inputs) {
  Result result;
  const std::size_t vectors = static_cast<std::size_t>(problem.batch()) * problem.query_heads;
  const auto dim = static_cast<std::size_t>(problem.head_dim);
  const auto value_dim = static_cast<std::size_t>(problem.value_dim());
  const bool fp8 = problem.kv_type == KvType::kE4m3;
  result.output.assign(vectors * value_dim, 0.0);
  result.lse.assign(vectors, -std::numeric_limits<double>::infinity());
  for (int request = 0; request < problem.batch(); ++request) {
    const auto length = static_cast<std::size_t>(problem.kv_lengths[request]);
    for (int kv_head = 0; length > 0 && kv_head < problem.kv_heads; ++kv_head) {
      std::vector<double> key(length * dim);
      std::vector<double> value(length * value_dim);
      for (std::size_t token = 0; token < length; ++token) {
        const std::size_t row =
            cache_row(problem, inputs, request, static_cast<int>(token), kv_head);
        for (std::size_t d = 0; d < dim; ++d) {
          key[token * dim + d] = problem.coded_latent()
                                     ? load_coded(inputs.key, row * kCodedTokenBytes, d)
                                     : load(inputs.key, problem.kv_type, row * dim + d) *
                                           (fp8 ? inputs.k_scale[kv_head] : 1.0);
        }
        for (std::size_t d = 0; d < value_dim; ++d) {
          value[token * value_dim + d] = problem.latent()
                                             ? key[token * dim + d]
                                             : load(inputs.value, problem.kv_type, row * dim + d) *
                                                   (fp8 ? inputs.v_scale[kv_head] : 1.0);
        }
      }
      for (int head = kv_head * problem.group(); head < (kv_head + 1) * problem.group(); ++head) {
        const std::size_t vector = static_cast<std::size_t>(request) * problem.query_heads + head;
        std::vector<double> query(dim);
        for (std::size_t d = 0; d < dim; ++d) {
          query[d] = to_float(Bf16{inputs.query[vector * dim + d]});
        }
        std::vector<double> weights(length);
        double largest = -std::numeric_limits<double>::infinity();
        for (std::size_t token = 0; token < length; ++token) {
          double score = 0;
          for (std::size_t d = 0; d < dim; ++d) {
            score += query[d] * key[token * dim + d];
          }
          weights[token] = score * inputs.softmax_scale;
          largest = std::max(largest, weights[token]);
        }
        double sum = 0;
        for (double& weight : weights) {
          weight = std::exp(weight - largest);
          sum += weight;
        }
        result.lse[vector] = largest + std::log(sum);
        for (std::size_t token = 0; token < length; ++token) {
          const double weight = weights[token] / sum;
          for (std::size_t d = 0; d < value_dim; ++d) {
            result.output[vector * value_dim + d] += weight * value[token * value_dim + d];
          }
        }
      }
    }
  }
  return result;
}

double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) {
    return std::numeric_limits<double>::infinity();
  }
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isinf(want[i]) && got[i] == want[i]) {
      continue;
    }
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  if (difference == 0) {
    return 0;
  }
  return std::sqrt(difference) / std::sqrt(norm);
}

}  // namespace ridge::kernels::decode
