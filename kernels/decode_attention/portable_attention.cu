#include "common/cp_async.cuh"
#include "common/dynamic_shared.cuh"
#include "common/launch.cuh"
#include "common/warp_mma.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/f16_pairs.cuh"
#include "decode_attention/portable_plan.hpp"
#include "decode_attention/result.cuh"
#include "pipeline/online_softmax.cuh"

#include <cstdint>

/// Decode attention for every chip from Ampere on: cp.async, ldmatrix and mma.sync alone. One CTA
/// of four or eight warps works through its segments of the same schedule as the Hopper kernel's; a
/// warp holds 16 of the tile's 64 query rows and 64 or 128 columns of their output, in registers:
/// more would spill, so that at head dimensions of 128 and 256 two warps compute the same scores.
/// All threads copy the next tile while the warps that have rows work on this one.
namespace ridge::kernels::decode {
namespace {

template <int HeadDim, KvType Type>
struct Portable {
  static constexpr PortablePlan kPlan = portable_plan(HeadDim, Type);
  static_assert(kPlan.total_bytes <= kPortableLimitBytes);
  static constexpr bool kFp8 = Type == KvType::kE4m3;
  static constexpr MmaType kOperand = kFp8 ? MmaType::kF16 : MmaType::kBf16;
  static constexpr int kTokens = kPlan.tile_tokens;
  static constexpr int kValuePasses = value_passes(Type);
  static constexpr int kScoreRegisters = kTokens / 2;
  static constexpr int kColumns = portable_columns(HeadDim);  // Of a warp.
  static constexpr int kThreads = portable_threads(HeadDim);
  static constexpr int kOutputRegisters = kColumns / 2;

  unsigned char* shared;
  const Arguments& arguments;
  int thread = static_cast<int>(threadIdx.x);
  int lane = static_cast<int>(threadIdx.x) % 32;

  __device__ unsigned char* slot(int stage, int tensor) const {
    return shared + kPlan.slot_offset + (stage * 2 + tensor) * kPlan.slot_bytes;
  }
  /// The K (0) or V (1) that matrix instructions read.
  __device__ const unsigned char* tile(int stage, int tensor) const {
    return kFp8 ? shared + kPlan.tile_offset + tensor * kPlan.tile_bytes : slot(stage, tensor);
  }

  /// Copies the segment's query rows into shared memory, zeros below them.
  __device__ void load_query(const Segment& segment, int first_head, int rows) const {
    constexpr int kPieces = HeadDim / 8;
    const std::uint16_t* source =
        arguments.query +
        (static_cast<std::int64_t>(segment.request) * arguments.query_heads + first_head) * HeadDim;
    for (int i = thread; i < kTileRows * kPieces; i += kThreads) {
      const int row = i / kPieces;
      const int piece = i % kPieces;
      uint4 data = make_uint4(0, 0, 0, 0);
      if (row < rows) {
        data = __ldg(reinterpret_cast<const uint4*>(source + row * HeadDim + piece * 8));
        if constexpr (kFp8) {
          data = make_uint4(bf16_pair_as_f16(data.x), bf16_pair_as_f16(data.y),
                            bf16_pair_as_f16(data.z), bf16_pair_as_f16(data.w));
        }
      }
      *reinterpret_cast<uint4*>(shared + portable_offset(HeadDim, row, piece)) = data;
    }
  }

  /// Where a token of the segment lies in the cache, in rows of head_dim values; the last page for
  /// those past the end.
  __device__ std::int64_t row_of(const Segment& segment, int token) const {
    const int log2 = arguments.page_log2;
    const int entry = min(token, segment.kv_tokens - 1) >> log2;
    const std::int64_t page =
        arguments
            .block_table[static_cast<std::int64_t>(segment.request) * arguments.block_table_stride +
                         entry];
    return ((page * arguments.kv_heads + segment.kv_head) << log2) + (token & ((1 << log2) - 1));
  }

  /// Starts the copies of a tile of the segment, as one group of every thread; an empty group past
  /// the segment's end, so that groups count tiles.
  __device__ void start_tile(const Segment& segment, int index, int tiles, int stage) const {
    if (index < tiles) {
      const int token = segment.first_tile * kTileTokens + index * kTokens;
      const std::int64_t first_row = row_of(segment, token);
      // Where a tile lies together in one page it is copied as it lies: by a row's place for every
      // 16 bytes Hopper chips took up to 15 % longer.
      const bool one_page = (1 << arguments.page_log2) >= kTokens;
      constexpr int kRowBytes = HeadDim * (kFp8 ? 1 : 2);
      constexpr int kPieces = kRowBytes / 16;
#pragma unroll 2
      for (int tensor = 0; tensor < 2; ++tensor) {
        const auto* cache =
            static_cast<const unsigned char*>(tensor == 0 ? arguments.key : arguments.value);
        // E4M3 rows are expanded from where they land in order; BF16 rows are used there.
        const auto place = [&](int i) {
          return slot(stage, tensor) +
                 (kFp8 ? i * 16 : portable_offset(HeadDim, i / kPieces, i % kPieces));
        };
        if (one_page) {
          const auto* source = cache + first_row * kRowBytes;
#pragma unroll 4
          for (int i = thread; i < kTokens * kPieces; i += kThreads) {
            cp_async_16(place(i), source + i * 16);
          }
        } else {
          for (int i = thread; i < kTokens * kPieces; i += kThreads) {
            const std::int64_t row = row_of(segment, token + i / kPieces);
            cp_async_16(place(i), cache + row * kRowBytes + i % kPieces * 16);
          }
        }
      }
    }
    cp_async_commit();
  }

  /// Expands the stage's K and V to F16, 2^-8 of their values.
  __device__ void expand(int stage) const {
    constexpr int kPieces = HeadDim / 16;  // Of 16 codes.
    for (int tensor = 0; tensor < 2; ++tensor) {
      unsigned char* target = shared + kPlan.tile_offset + tensor * kPlan.tile_bytes;
#pragma unroll 2
      for (int i = thread; i < kTokens * kPieces; i += kThreads) {
        const uint4 codes = *reinterpret_cast<const uint4*>(slot(stage, tensor) + i * 16);
        const std::uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
        std::uint32_t halves[8];
#pragma unroll
        for (int word = 0; word < 4; ++word) {
          // Codes 0 and 1 of a word to the low bytes of two halves, then 2 and 3.
          const std::uint32_t w = words[word];
          halves[2 * word] = e4m3_pair_as_f16((w & 0xffu) | (w & 0xff00u) << 8);
          halves[2 * word + 1] = e4m3_pair_as_f16((w >> 16 & 0xffu) | (w >> 8 & 0xff0000u));
        }
        const int row = i / kPieces;
        const int piece = i % kPieces * 2;
        *reinterpret_cast<uint4*>(target + portable_offset(HeadDim, row, piece)) =
            make_uint4(halves[0], halves[1], halves[2], halves[3]);
        *reinterpret_cast<uint4*>(target + portable_offset(HeadDim, row, piece + 1)) =
            make_uint4(halves[4], halves[5], halves[6], halves[7]);
      }
    }
  }

  /// Unused tokens of a request's last page may hold anything, NaN included, and 0 x NaN is NaN.
  /// Expanded E4M3 has no NaN.
  __device__ void clear_values(int stage, int valid) const {
    constexpr int kPieces = HeadDim / 8;
    for (int i = thread; i < (kTokens - valid) * kPieces; i += kThreads) {
      *reinterpret_cast<uint4*>(slot(stage, 1) +
                                portable_offset(HeadDim, valid + i / kPieces, i % kPieces)) =
          make_uint4(0, 0, 0, 0);
    }
  }

  struct State {
    pipeline::OnlineSoftmax softmax;
    float output[kOutputRegisters] = {};
  };

  /// The work of a warp that has rows.
  __device__ void consume(State& state, int stage, int valid, float scale_log2) const {
    const unsigned char* const keys = tile(stage, 0);
    const unsigned char* const values = tile(stage, 1);
    const int first_row = thread % 128 / 32 * 16;
    const int first_piece = thread / 128 * (kColumns / 8);
    float score[kScoreRegisters] = {};
#pragma unroll
    for (int k = 0; k < HeadDim / 16; ++k) {
      // A's four matrices: rows 0-7, 8-15, then both 8 columns on.
      std::uint32_t a[4];
      load_matrices(a, shared + portable_offset(HeadDim, first_row + lane % 16, 2 * k + lane / 16));
#pragma unroll
      for (int n = 0; n < kTokens / 16; ++n) {
        // B's: 16 tokens (columns) as two groups of 8, each with both halves of k.
        std::uint32_t b[4];
        load_matrices(b, keys + portable_offset(HeadDim, n * 16 + lane / 16 * 8 + lane % 8,
                                                2 * k + lane / 8 % 2));
        warp_mma<kOperand>(score + 8 * n, a, b[0], b[1]);
        warp_mma<kOperand>(score + 8 * n + 4, a, b[2], b[3]);
      }
    }
    if (valid < kTokens) {
      pipeline::mask_scores(score, valid);
    }
    float shrink[2];
    state.softmax.add(score, scale_log2, shrink);
#pragma unroll
    for (int i = 0; i < kOutputRegisters; ++i) {
      state.output[i] *= shrink[i / 2 % 2];
    }
#pragma unroll
    for (int k = 0; k < kTokens / 16; ++k) {
      // Two neighboring blocks of accumulators are one A fragment.
      std::uint32_t weight[kValuePasses][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float first = score[8 * k + 2 * i];
        const float second = score[8 * k + 2 * i + 1];
        weight[0][i] = pack_pair<kFp8>(first, second);
        if constexpr (kValuePasses == 2) {
          weight[1][i] = pack_pair<kFp8>(first - __uint_as_float(weight[0][i] << 16),
                                         second - __uint_as_float(weight[0][i] & 0xffff0000u));
        }
      }
#pragma unroll
      for (int n = 0; n < kColumns / 16; ++n) {
        std::uint32_t b[4];
        load_matrices_transposed(b, values + portable_offset(HeadDim, k * 16 + lane % 16,
                                                             first_piece + 2 * n + lane / 16));
#pragma unroll
        for (int pass = 0; pass < kValuePasses; ++pass) {
          warp_mma<kOperand>(state.output + 8 * n, weight[pass], b[0], b[1]);
          warp_mma<kOperand>(state.output + 8 * n + 4, weight[pass], b[2], b[3]);
        }
      }
    }
  }

  __device__ void write_result(const Segment& segment, const State& state, int first_head,
                               int rows) const {
    float value_scale = 1.0f;
    if constexpr (kFp8) {
      value_scale = arguments.v_scale[segment.kv_head] * kE4m3AsF16Scale;
    }
    const float factor[2] = {value_scale * state.softmax.normalizer(0),
                             value_scale * state.softmax.normalizer(1)};
    if (thread < 128) {
      write_lse(arguments, segment, first_head, rows, state.softmax);
    }
    write_columns<HeadDim, kColumns>(arguments, segment, first_head, rows, state.output, factor,
                                     thread / 128 * kColumns);
  }

  __device__ void do_segment(const Segment& segment) const {
    const int group = arguments.query_heads / arguments.kv_heads;
    const int first_head = segment.kv_head * group + segment.row_block * kTileRows;
    const int rows = min(kTileRows, group - segment.row_block * kTileRows);
    const bool has_rows = thread % 128 / 32 * 16 < rows;
    float scale_log2 = arguments.softmax_scale * pipeline::kLog2OfE;
    if constexpr (kFp8) {
      scale_log2 *= arguments.k_scale[segment.kv_head] * kE4m3AsF16Scale;
    }
    const int tokens =
        min(segment.kv_tokens - segment.first_tile * kTileTokens, segment.tiles * kTileTokens);
    const int tiles = (tokens + kTokens - 1) / kTokens;
    load_query(segment, first_head, rows);
    start_tile(segment, 0, tiles, 0);
    State state;
    for (int index = 0; index < tiles; ++index) {
      const int stage = index % kPortableStages;
      start_tile(segment, index + 1, tiles, (index + 1) % kPortableStages);
      cp_async_wait<1>();
      __syncthreads();  // Every thread's copies of this tile are there.
      const int valid = min(tokens - index * kTokens, kTokens);
      if constexpr (kFp8) {
        expand(stage);
        __syncthreads();
      } else if (valid < kTokens) {
        clear_values(stage, valid);
        __syncthreads();
      }
      if (has_rows) {
        consume(state, stage, valid, scale_log2);
      }
      __syncthreads();  // Nobody's next copies land where somebody still reads.
    }
    cp_async_wait<0>();
    state.softmax.finish();
    if (has_rows) {
      write_result(segment, state, first_head, rows);
    }
    __syncthreads();  // The query tile is free.
  }
};

template <int HeadDim, KvType Type>
__global__ void __launch_bounds__(portable_threads(HeadDim), 1)
    portable_kernel(const __grid_constant__ Arguments arguments) {
  const Portable<HeadDim, Type> kernel{dynamic_shared_memory(), arguments};
  const int end = arguments.cta_begin[blockIdx.x + 1];
  for (int index = arguments.cta_begin[blockIdx.x]; index < end; ++index) {
    kernel.do_segment(arguments.segments[index]);
  }
}

template <int HeadDim, KvType Type>
void launch_instance(const Arguments& arguments, int ctas, cudaStream_t stream) {
  constexpr std::uint32_t kBytes = portable_plan(HeadDim, Type).total_bytes;
  allow_shared_bytes(portable_kernel<HeadDim, Type>, kBytes);
  launch_kernel({.grid = static_cast<unsigned>(ctas),
                 .block = portable_threads(HeadDim),
                 .shared_bytes = kBytes,
                 .stream = stream},
                portable_kernel<HeadDim, Type>, arguments);
}

template <KvType Type>
void launch_type(int head_dim, const Arguments& arguments, int ctas, cudaStream_t stream) {
  switch (head_dim) {
    case 64:
      return launch_instance<64, Type>(arguments, ctas, stream);
    case 128:
      return launch_instance<128, Type>(arguments, ctas, stream);
    default:
      return launch_instance<256, Type>(arguments, ctas, stream);
  }
}

}  // namespace

void launch_portable_attention(int head_dim, KvType type, const Arguments& arguments, int ctas,
                               cudaStream_t stream) {
  type == KvType::kBf16 ? launch_type<KvType::kBf16>(head_dim, arguments, ctas, stream)
                        : launch_type<KvType::kE4m3>(head_dim, arguments, ctas, stream);
}

}  // namespace ridge::kernels::decode
