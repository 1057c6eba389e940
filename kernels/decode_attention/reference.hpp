#pragma once

#include "decode_attention/problem.hpp"

#include <cstdint>
#include <vector>

namespace ridge::kernels::decode {

/// Inputs of a problem on the host, as the bits the device sees; layouts as in problem.hpp.
struct HostInputs {
  std::vector<std::uint16_t> query;
  std::vector<std::uint8_t> key;    ///< Bytes; two per element for BF16.
  std::vector<std::uint8_t> value;  ///< Empty where values are the head of the keys.
  std::vector<float> k_scale;
  std::vector<float> v_scale;
  std::vector<std::int32_t> block_table;
  std::int32_t block_table_stride = 0;
  std::int64_t cache_pages = 0;
  float softmax_scale = 0;
};

/// Output and LSE in double, [batch][query_heads][value_dim] and [batch][query_heads].
struct Result {
  std::vector<double> output;
  std::vector<double> lse;
};

/// What lies where no kernel may look, or may look but must not care.
struct Hazards {
  bool nan_in_unused_slots = true;  ///< Tokens past the length in a request's last page.
  bool garbage_page_ids = true;     ///< Block table entries past a request's last page.
};

/// Fresh random inputs: normal queries and caches, pages of all requests shuffled over the cache,
/// softmax scale 1 / sqrt(head_dim). `sharpness` multiplies the queries; 4 makes a few tokens
/// dominate.
HostInputs make_inputs(const Problem& problem, std::uint64_t seed, const Hazards& hazards = {},
                       float sharpness = 1.0f);

/// The definition, in double on the dequantized inputs: two passes over the scores, no blocking.
Result reference_attention(const Problem& problem, const HostInputs& inputs);

/// ||got - want|| / ||want|| over all elements, computed in double; NaN if any element of `got` is
/// NaN where `want` is not. Pairs of equal infinities count as equal.
double relative_error(const std::vector<double>& got, const std::vector<double>& want);

}  // namespace ridge::kernels::decode
