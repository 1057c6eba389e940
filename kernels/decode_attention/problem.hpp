#pragma once

#include "bench/family.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ridge::kernels::decode {

/// Tokens of one tile of the kernels.
inline constexpr int kTileTokens = 64;
inline constexpr int kLeastPageTokens = 16;
inline constexpr int kTileLog2 = 6;

/// MLA with absorbed weights (arXiv 2405.04434): the latent, which is also the value, and the
/// rotary part of the key behind it.
inline constexpr int kLatentRank = 512;
inline constexpr int kLatentRopeDim = 64;

/// A cached token of MLA in E4M3, as FlashMLA's sparse decode and vLLM's `fp8_ds_mla` have it: the
/// codes of the latent, a float scale for every 128 of them, and the rotary part in BF16. Source:
/// docs.vllm.ai, vllm.v1.attention.backends.mla.flashmla_sparse.
inline constexpr int kLatentScaledValues = 128;
inline constexpr int kLatentScales = kLatentRank / kLatentScaledValues;
inline constexpr int kCodedScalesOffset = kLatentRank;
inline constexpr int kCodedRopeOffset = kCodedScalesOffset + kLatentScales * 4;
inline constexpr int kCodedTokenBytes = kCodedRopeOffset + kLatentRopeDim * 2;  ///< 656

enum class KvType { kBf16, kE4m3 };

constexpr int kv_element_bytes(KvType type) {
  return type == KvType::kBf16 ? 2 : 1;
}
const char* name(KvType type);

/// One decode step's attention in one layer: one new token per request against its cache.
///
/// Layouts, innermost last:
///   query   [batch][query_heads][head_dim]                    BF16
///   key     [pages][kv_heads][page_tokens][head_dim]          BF16 or E4M3
///   value   the same; with rope_dim > 0 there is none: a token's value is the head of its key
///   k_scale [kv_heads], v_scale [kv_heads]                    float, E4M3 only; x = code * scale
///   With rope_dim > 0, E4M3: key is [pages][page_tokens][kCodedTokenBytes], scales included, which
///   are rounded to F16 as their products with codes are: full precision from 2^-14 to 65504.
///   block_table [batch][pages_per_request]   int32; entries past the length are never read
///   output  [batch][query_heads][value_dim]                   BF16 or float
///   lse     [batch][query_heads]     float: natural log of the softmax's denominator
/// Query head h reads KV head h / (query_heads / kv_heads). MFA, MQA and MLA are kv_heads = 1.
/// A request of length 0 yields an output of zeros and an lse of -infinity.
struct Problem {
  std::vector<std::int32_t> kv_lengths;  ///< Cached tokens per request.
  int query_heads = 64;                  ///< 16 .. 128, a multiple of kv_heads.
  int kv_heads = 1;                      ///< 1 .. 8
  int head_dim = 256;                    ///< Of queries and keys: 64, 128, 256; MLA: 576.
  int rope_dim = 0;  ///< MLA: how many of a key's last elements its value lacks, 64. Else 0.
  KvType kv_type = KvType::kBf16;
  int page_tokens = kTileTokens;  ///< Of a page of the cache: 16, 32, 64, 128; MLA: 64.

  int batch() const { return static_cast<int>(kv_lengths.size()); }
  int group() const { return query_heads / kv_heads; }  ///< Query heads per KV head.
  /// Whether a token's value is the head of its key, so that there is one cache tensor, not two.
  bool latent() const { return rope_dim > 0; }
  int value_dim() const { return head_dim - rope_dim; }
  /// Whether a cached token is kCodedTokenBytes.
  bool coded_latent() const { return latent() && kv_type == KvType::kE4m3; }
  std::int64_t cached_token_bytes() const;
  std::int64_t total_tokens() const;
  std::int64_t total_pages() const;
  int max_pages() const;                          ///< Of one request; the block table's row length.
  std::int64_t pages(std::int32_t tokens) const;  ///< That hold so many of one request.
  int page_log2() const;                          ///< Of page_tokens.

  /// Throws std::invalid_argument, saying what was expected, if the kernels do not cover the
  /// problem.
  void validate() const;

  /// Compulsory bytes (every cached token, the queries and the outputs once) and FLOP.
  bench::Work work() const;
};

/// How the context lengths of a batch scatter around their mean.
enum class Lengths {
  kEqual,
  kRagged,  ///< Uniform on [0, 2 x mean], from a fixed seed, with the mean kept exactly.
};

std::vector<std::int32_t> make_lengths(int batch, int context_tokens, Lengths lengths);

/// To and from the bench's named fields: batch, context_tokens, kv_lengths ("equal" or "ragged"),
/// query_heads, kv_heads, head_dim, kv_dtype ("bf16" or "fp8_e4m3"); page_tokens where it is
/// not 64.
bench::Shape make_shape(int batch, int context_tokens, Lengths lengths, int query_heads,
                        int kv_heads, int head_dim, KvType type, int page_tokens = kTileTokens);
/// The same for MLA, where kv_rank (512) and rope_dim (64) take the place of kv_heads and head_dim;
/// token_bytes (656) behind an E4M3 cache's kv_dtype says how it keeps scales and rotary part.
bench::Shape make_latent_shape(int batch, int context_tokens, Lengths lengths, int query_heads,
                               KvType type = KvType::kBf16);
/// Of either kind of shape.
Problem problem_from(const bench::Shape& shape);

}  // namespace ridge::kernels::decode
