#include "decode_attention/problem.hpp"

#include "common/random.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace ridge::kernels::decode {

const char* name(KvType type) {
  return type == KvType::kBf16 ? "bf16" : "fp8_e4m3";
}

namespace {

void require(bool condition, const std::string& expected, std::int64_t found) {
  if (!condition) {
    throw std::invalid_argument("decode attention: expected " + expected + ", got " +
                                std::to_string(found));
  }
}

}  // namespace

std::int64_t Problem::cached_token_bytes() const {
  if (coded_latent()) {
    return kCodedTokenBytes;
  }
  const std::int64_t values = latent() ? head_dim : 2 * std::int64_t{head_dim};
  return kv_heads * values * kv_element_bytes(kv_type);
}

std::int64_t Problem::total_tokens() const {
  std::int64_t total = 0;
  for (const std::int32_t length : kv_lengths) {
    total += length;
  }
  return total;
}

std::int64_t Problem::pages(std::int32_t tokens) const {
  return (static_cast<std::int64_t>(tokens) + page_tokens - 1) / page_tokens;
}

int Problem::page_log2() const {
  return std::countr_zero(static_cast<unsigned>(page_tokens));
}

std::int64_t Problem::total_pages() const {
  std::int64_t total = 0;
  for (const std::int32_t length : kv_lengths) {
    total += pages(length);
  }
  return total;
}

int Problem::max_pages() const {
  std::int64_t most = 0;
  for (const std::int32_t length : kv_lengths) {
    most = std::max(most, pages(length));
  }
  return static_cast<int>(most);
}

void Problem::validate() const {
  require(!kv_lengths.empty(), "a batch of at least 1", 0);
  for (const std::int32_t length : kv_lengths) {
    require(length >= 0, "kv_lengths of at least 0", length);
  }
  require(kv_heads >= 1 && kv_heads <= 8, "kv_heads in 1..8", kv_heads);
  require(query_heads >= 16 && query_heads <= 128, "query_heads in 16..128", query_heads);
  require(query_heads % kv_heads == 0,
          "query_heads as a multiple of kv_heads = " + std::to_string(kv_heads), query_heads);
  if (latent()) {
    require(rope_dim == kLatentRopeDim, "rope_dim 64, or 0 for values of their own", rope_dim);
    require(head_dim == kLatentRank + kLatentRopeDim, "head_dim 576 with rope_dim 64", head_dim);
    require(kv_heads == 1, "one latent, kv_heads 1, with rope_dim 64", kv_heads);
    require(page_tokens == kTileTokens, "page_tokens 64 with rope_dim 64", page_tokens);
  } else {
    require(rope_dim == 0, "rope_dim 64, or 0 for values of their own", rope_dim);
    require(head_dim == 64 || head_dim == 128 || head_dim == 256, "head_dim 64, 128 or 256",
            head_dim);
    require(page_tokens == 16 || page_tokens == 32 || page_tokens == 64 || page_tokens == 128,
            "page_tokens 16, 32, 64 or 128", page_tokens);
  }
}

bench::Work Problem::work() const {
  const auto tokens = static_cast<double>(total_tokens());
  const double vectors = static_cast<double>(batch()) * query_heads;
  bench::Work work;
  // Every cached token, then the BF16 queries; BF16 outputs and float LSE.
  work.bytes_read = tokens * static_cast<double>(cached_token_bytes()) + vectors * head_dim * 2;
  work.bytes_written = vectors * (value_dim() * 2 + 4);
  // Q.K and P.V, a multiply-add each per (token, query head, dimension).
  work.flop = tokens * query_heads * (head_dim + value_dim()) * 2;
  return work;
}

std::vector<std::int32_t> make_lengths(int batch, int context_tokens, Lengths lengths) {
  std::vector<std::int32_t> result(static_cast<std::size_t>(batch), context_tokens);
  if (lengths == Lengths::kRagged) {
    // In pairs (mean + d, mean - d), so that the sum is that of the equal batch.
    for (std::size_t i = 0; i + 1 < result.size(); i += 2) {
      const auto d =
          static_cast<std::int32_t>(random_uniform(2507, i) * static_cast<float>(context_tokens));
      result[i] += d;
      result[i + 1] -= d;
    }
  }
  return result;
}

bench::Shape make_shape(int batch, int context_tokens, Lengths lengths, int query_heads,
                        int kv_heads, int head_dim, KvType type, int page_tokens) {
  using I = std::int64_t;
  std::vector<bench::Shape::Field> shape = {
      {"batch", I{batch}},
      {"context_tokens", I{context_tokens}},
      {"kv_lengths", std::string(lengths == Lengths::kEqual ? "equal" : "ragged")},
      {"query_heads", I{query_heads}},
      {"kv_heads", I{kv_heads}},
      {"head_dim", I{head_dim}},
      {"kv_dtype", std::string(name(type))}};
  if (page_tokens != kTileTokens) {
    shape.push_back({"page_tokens", I{page_tokens}});
  }
  return bench::Shape(std::move(shape));
}

bench::Shape make_latent_shape(int batch, int context_tokens, Lengths lengths, int query_heads,
                               KvType type) {
  using I = std::int64_t;
  std::vector<bench::Shape::Field> shape = {
      {"batch", I{batch}},
      {"context_tokens", I{context_tokens}},
      {"kv_lengths", std::string(lengths == Lengths::kEqual ? "equal" : "ragged")},
      {"query_heads", I{query_heads}},
      {"kv_rank", I{kLatentRank}},
      {"rope_dim", I{kLatentRopeDim}},
      {"kv_dtype", std::string(name(type))}};
  if (type == KvType::kE4m3) {
    shape.push_back({"token_bytes", I{kCodedTokenBytes}});
  }
  return bench::Shape(std::move(shape));
}

Problem problem_from(const bench::Shape& shape) {
  const std::string& lengths = shape.word("kv_lengths");
  const std::string& type = shape.word("kv_dtype");
  if (lengths != "equal" && lengths != "ragged") {
    throw std::invalid_argument("decode attention: expected kv_lengths equal or ragged, got " +
                                lengths);
  }
  if (type != "bf16" && type != "fp8_e4m3") {
    throw std::invalid_argument("decode attention: expected kv_dtype bf16 or fp8_e4m3, got " +
                                type);
  }
  require(shape.integer("batch") >= 1, "a batch of at least 1", shape.integer("batch"));
  Problem problem;
  problem.kv_lengths = make_lengths(static_cast<int>(shape.integer("batch")),
                                    static_cast<int>(shape.integer("context_tokens")),
                                    lengths == "equal" ? Lengths::kEqual : Lengths::kRagged);
  problem.query_heads = static_cast<int>(shape.integer("query_heads"));
  if (shape.has("kv_rank")) {
    problem.rope_dim = static_cast<int>(shape.integer("rope_dim"));
    problem.head_dim = static_cast<int>(shape.integer("kv_rank")) + problem.rope_dim;
  } else {
    problem.kv_heads = static_cast<int>(shape.integer("kv_heads"));
    problem.head_dim = static_cast<int>(shape.integer("head_dim"));
  }
  problem.kv_type = type == "bf16" ? KvType::kBf16 : KvType::kE4m3;
  if (shape.has("page_tokens")) {
    problem.page_tokens = static_cast<int>(shape.integer("page_tokens"));
  }
  problem.validate();
  if (shape.has("token_bytes")) {
    require(shape.integer("token_bytes") == problem.cached_token_bytes(),
            "token_bytes " + std::to_string(problem.cached_token_bytes()),
            shape.integer("token_bytes"));
  }
  return problem;
}

}  // namespace ridge::kernels::decode
