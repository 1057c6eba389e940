#pragma once

#include "common/numeric.hpp"
#include "decode_attention/reference.hpp"
#include "decode_attention/schedule.hpp"
#include "decode_attention/tile_plan.hpp"
#include "support/hopper_emulation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

/// The Hopper kernel of decode_attention/attention.cuh, step by step on the emulated machine: the
/// same schedule, shared-memory plan, address maps and fragment maps, 128 threads' registers at a
/// time. The only things it does not have are concurrency (see the pipeline tests) and the
/// silicon's own rounding of sums.
namespace ridge::kernels::decode {

class EmulatedAttention {
 public:
  EmulatedAttention(const Problem& problem, const HostInputs& inputs)
      : problem_(problem),
        inputs_(inputs),
        fp8_(problem.kv_type == KvType::kE4m3),
        dim_(static_cast<std::uint32_t>(problem.head_dim)),
        plan_(tile_plan(problem.head_dim, problem.kv_type)),
        shared_(plan_.total_bytes, 0xff) {}  // Poisoned: every byte read must have been written.

  Result run(const Schedule& schedule) {
    const std::size_t vectors = static_cast<std::size_t>(problem_.batch()) * problem_.query_heads;
    result_.output.assign(vectors * dim_, kNan);
    result_.lse.assign(vectors, kNan);
    partial_output_.assign(static_cast<std::size_t>(schedule.partials) * kTileRows * dim_, kNanF);
    partial_lse_.assign(static_cast<std::size_t>(schedule.partials) * kTileRows, kNanF);
    for (int cta = 0; cta < schedule.ctas(); ++cta) {
      std::uint32_t done = 0;
      for (int i = schedule.cta_begin[cta]; i < schedule.cta_begin[cta + 1]; ++i) {
        run_segment(schedule.segments[i], done);
        done += schedule.segments[i].tiles;
      }
    }
    for (const Merge& merge : schedule.merges) {
      combine(merge);
    }
    return result_;
  }

 private:
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr float kNanF = std::numeric_limits<float>::quiet_NaN();
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  struct State {
    State(std::uint32_t dim)
        : largest(128, {-kInfinity, -kInfinity}),
          sum(128, {0.0f, 0.0f}),
          output(128, std::vector<float>(dim / 2, 0.0f)) {}
    std::vector<std::array<float, 2>> largest;
    std::vector<std::array<float, 2>> sum;
    emulation::Registers output;
  };

  emulation::Decode decode() const {
    if (fp8_) {
      return [](const std::uint8_t* p) {
        return to_float(F16{static_cast<std::uint16_t>(p[0] | p[1] << 8)});
      };
    }
    return [](const std::uint8_t* p) {
      return to_float(Bf16{static_cast<std::uint16_t>(p[0] | p[1] << 8)});
    };
  }

  float narrow(float x) const { return fp8_ ? to_float(to_f16(x)) : to_float(to_bf16(x)); }

  void load_query(const Segment& segment, int first_head, int rows) {
    for (int row = 0; row < kTileRows; ++row) {
      for (std::uint32_t d = 0; d < dim_; ++d) {
        std::uint16_t bits = 0;
        if (row < rows) {
          bits = inputs_.query[(static_cast<std::size_t>(segment.request) * problem_.query_heads +
                                first_head + row) *
                                   dim_ +
                               d];
          bits = fp8_ ? to_f16(to_float(Bf16{bits})).bits : bits;
        }
        std::memcpy(&shared_.at(plan_.query_offset + panel_offset(kTileRows, row, d * 2)), &bits,
                    2);
      }
    }
  }

  /// The producer's copy of one tile.
  void load_tile(const std::vector<std::uint8_t>& cache, std::uint32_t slot, std::size_t tile_row) {
    const std::size_t target = plan_.slot_offset + slot * plan_.slot_bytes;
    if (fp8_) {
      std::memcpy(&shared_.at(target), &cache.at(tile_row * dim_), plan_.slot_bytes);
      return;
    }
    emulation::tensor_load(
        shared_, target,
        {cache.data(),
         2,
         {64, static_cast<std::size_t>(inputs_.cache_pages) * problem_.kv_heads * 64, dim_ / 64},
         {dim_ * 2, 128},
         {64, 64, dim_ / 64}},
        {0, tile_row, 0});
  }

  void convert_tile(std::uint32_t slot, int consumer, int valid) {
    const std::uint8_t* source = &shared_.at(plan_.slot_offset + slot * plan_.slot_bytes);
    const std::uint32_t target = plan_.operand_offset + consumer * plan_.operand_bytes;
    const std::uint32_t per_row = dim_ / 16;
    for (std::uint32_t i = 0; i < kPageTokens * per_row; ++i) {
      const std::uint32_t row = i / per_row;
      std::uint16_t halves[16];
      for (int e = 0; e < 16; ++e) {
        const std::uint8_t code = static_cast<int>(row) < valid ? source[i * 16 + e] : 0;
        halves[e] = to_f16(to_float(E4m3{code})).bits;
      }
      const ConversionStore store = conversion_store(row, i % per_row);
      std::memcpy(&shared_.at(target + store.first_piece), store.high_first ? halves + 8 : halves,
                  16);
      std::memcpy(&shared_.at(target + store.second_piece), store.high_first ? halves : halves + 8,
                  16);
    }
  }

  void consume_tile(const Segment& segment, State& state, int consumer, std::uint32_t tile,
                    int local, float scale_log2) {
    const std::int64_t page =
        inputs_.block_table[static_cast<std::size_t>(segment.request) * inputs_.block_table_stride +
                            segment.first_tile + local];
    const std::size_t tile_row =
        (static_cast<std::size_t>(page) * problem_.kv_heads + segment.kv_head) * 64;
    const RingPosition key = ring_position(tile, Tensor::kKey, plan_.slots);
    const RingPosition value = ring_position(tile, Tensor::kValue, plan_.slots);
    load_tile(inputs_.key, key.slot, tile_row);
    load_tile(inputs_.value, value.slot, tile_row);
    const int valid =
        std::min(segment.kv_tokens - (segment.first_tile + local) * kPageTokens, kPageTokens);

    const std::uint32_t converted = plan_.operand_offset + consumer * plan_.operand_bytes;
    if (fp8_) {
      convert_tile(key.slot, consumer, valid);
    }
    const std::uint32_t key_address =
        fp8_ ? converted : plan_.slot_offset + key.slot * plan_.slot_bytes;
    emulation::Registers score(128, std::vector<float>(32, kNanF));
    for (std::uint32_t k = 0; k < dim_ / 16; ++k) {
      emulation::wgmma_shared(
          shared_, score, k_major_descriptor(plan_.query_offset + head_dim_step(k)),
          k_major_descriptor(key_address + head_dim_step(k)), 64, 2, decode(), k != 0);
    }

    using Fragments = std::vector<std::vector<std::vector<float>>>;
    const Fragments none(4, std::vector<std::vector<float>>(128, std::vector<float>(8)));
    std::vector<Fragments> weight(value_passes(problem_.kv_type), none);
    // The row reductions go over the four threads of a quad.
    for (int quad = 0; quad < 32; ++quad) {
      for (int half = 0; half < 2; ++half) {
        float largest = -kInfinity;
        for (int thread = quad * 4; thread < quad * 4 + 4; ++thread) {
          for (int i = 0; i < 32; ++i) {
            if ((i / 2) % 2 == half) {
              float& s = score[thread][i];
              s = wgmma_accumulator_index(thread, i).column < valid ? s : -kInfinity;
              largest = std::max(largest, s);
            }
          }
        }
        for (int thread = quad * 4; thread < quad * 4 + 4; ++thread) {
          const float now = std::max(state.largest[thread][half], largest * scale_log2);
          const float rescale = std::exp2(state.largest[thread][half] - now);
          state.largest[thread][half] = now;
          float sum = 0;
          for (int i = 0; i < 32; ++i) {
            if ((i / 2) % 2 == half) {
              const float p = std::exp2(std::fma(score[thread][i], scale_log2, -now));
              sum += p;
              const FragmentSlot slot = accumulator_as_a(i);
              float rest = p;
              for (Fragments& pass : weight) {
                float& element = pass[slot.step][thread][slot.index * 2 + slot.half];
                element = narrow(rest);
                rest -= element;
              }
            }
          }
          state.sum[thread][half] = state.sum[thread][half] * rescale + sum;
          for (std::uint32_t i = 0; i < dim_ / 2; ++i) {
            if (static_cast<int>(i / 2 % 2) == half) {
              state.output[thread][i] *= rescale;
            }
          }
        }
      }
    }

    if (fp8_) {
      convert_tile(value.slot, consumer, valid);
    } else {
      for (int row = valid; row < kPageTokens; ++row) {
        for (std::uint32_t piece = 0; piece < dim_ / 8; ++piece) {
          std::memset(&shared_.at(plan_.slot_offset + value.slot * plan_.slot_bytes +
                                  panel_offset(kPageTokens, row, piece * 16)),
                      0, 16);
        }
      }
    }
    const std::uint32_t value_address =
        fp8_ ? converted : plan_.slot_offset + value.slot * plan_.slot_bytes;
    for (std::uint32_t k = 0; k < 4; ++k) {
      for (const Fragments& pass : weight) {
        emulation::wgmma_registers(
            shared_, state.output, pass[k],
            mn_major_descriptor(value_address + token_step(k), 64 * kPanelRowBytes), dim_,
            decode());
      }
    }
  }

  static void reduce_sums(State& state) {
    for (int quad = 0; quad < 32; ++quad) {
      for (int half = 0; half < 2; ++half) {
        float total = 0;
        for (int thread = quad * 4; thread < quad * 4 + 4; ++thread) {
          total += state.sum[thread][half];
        }
        for (int thread = quad * 4; thread < quad * 4 + 4; ++thread) {
          state.sum[thread][half] = total;
        }
      }
    }
  }

  void run_segment(const Segment& segment, std::uint32_t done) {
    const int first_head = segment.kv_head * problem_.group() + segment.row_block * kTileRows;
    const int rows = std::min(kTileRows, problem_.group() - segment.row_block * kTileRows);
    const float scale_log2 = inputs_.softmax_scale * 1.44269504088896f *
                             (fp8_ ? inputs_.k_scale[segment.kv_head] : 1.0f);
    load_query(segment, first_head, rows);
    State states[kConsumers] = {State(dim_), State(dim_)};
    for (int consumer = 0; consumer < kConsumers; ++consumer) {
      for (int tile = consumer_of(done + consumer); tile < segment.tiles; tile += kConsumers) {
        consume_tile(segment, states[consumer], consumer, done + tile, tile, scale_log2);
      }
      reduce_sums(states[consumer]);
    }
    if (consumer_of(done + 1) < segment.tiles) {
      for (int thread = 0; thread < 128; ++thread) {
        for (int half = 0; half < 2; ++half) {
          const float largest =
              std::max(states[0].largest[thread][half], states[1].largest[thread][half]);
          const float mine = std::exp2(states[0].largest[thread][half] - largest);
          const float theirs = std::exp2(states[1].largest[thread][half] - largest);
          states[0].largest[thread][half] = largest;
          states[0].sum[thread][half] =
              states[0].sum[thread][half] * mine + states[1].sum[thread][half] * theirs;
          for (std::uint32_t i = 0; i < dim_ / 2; ++i) {
            if (static_cast<int>(i / 2 % 2) == half) {
              states[0].output[thread][i] =
                  states[0].output[thread][i] * mine + states[1].output[thread][i] * theirs;
            }
          }
        }
      }
    }
    write(segment, states[0], first_head, rows);
  }

  void write(const Segment& segment, const State& state, int first_head, int rows) {
    const float value_scale = fp8_ ? inputs_.v_scale[segment.kv_head] : 1.0f;
    for (int thread = 0; thread < 128; ++thread) {
      for (std::uint32_t i = 0; i < dim_ / 2; ++i) {
        const MatrixIndex at = wgmma_accumulator_index(thread, static_cast<int>(i));
        if (at.row >= rows) {
          continue;
        }
        const int half = static_cast<int>(i / 2 % 2);
        const float sum = state.sum[thread][half];
        const float x = sum > 0 ? state.output[thread][i] * (value_scale / sum) : 0.0f;
        const float lse = sum > 0 ? state.largest[thread][half] + std::log2(sum) : -kInfinity;
        if (segment.partial >= 0) {
          const std::size_t vector = static_cast<std::size_t>(segment.partial) * kTileRows + at.row;
          partial_output_[vector * dim_ + at.column] = x;
          partial_lse_[vector] = lse;
        } else {
          const std::size_t vector =
              static_cast<std::size_t>(segment.request) * problem_.query_heads + first_head +
              at.row;
          result_.output[vector * dim_ + at.column] = x;
          result_.lse[vector] = lse * 0.693147180559945f;
        }
      }
    }
  }

  void combine(const Merge& merge) {
    const int rows = std::min(kTileRows, problem_.group() - merge.row_block * kTileRows);
    const auto exp2 = [](float x) { return std::exp2(x); };
    for (int row = 0; row < rows; ++row) {
      const auto lse = [&](int part) {
        return partial_lse_[static_cast<std::size_t>(merge.first_partial + part) * kTileRows + row];
      };
      float largest = -kInfinity;
      for (int part = 0; part < merge.partials; ++part) {
        largest = std::max(largest, lse(part));
      }
      float total = 0;
      std::vector<float> sums(dim_, 0.0f);
      for (int part = 0; part < merge.partials; ++part) {
        const float weight = merge_weight(lse(part), largest, exp2);
        total += weight;
        for (std::uint32_t d = 0; d < dim_; ++d) {
          sums[d] +=
              weight *
              partial_output_[(static_cast<std::size_t>(merge.first_partial + part) * kTileRows +
                               row) *
                                  dim_ +
                              d];
        }
      }
      const std::size_t vector = static_cast<std::size_t>(merge.request) * problem_.query_heads +
                                 merge.kv_head * problem_.group() + merge.row_block * kTileRows +
                                 row;
      for (std::uint32_t d = 0; d < dim_; ++d) {
        result_.output[vector * dim_ + d] = sums[d] / total;
      }
      result_.lse[vector] = (largest + std::log2(total)) * 0.693147180559945f;
    }
  }

  const Problem& problem_;
  const HostInputs& inputs_;
  bool fp8_;
  std::uint32_t dim_;
  TilePlan plan_;
  emulation::SharedMemory shared_;
  Result result_;
  std::vector<float> partial_output_;
  std::vector<float> partial_lse_;
};

}  // namespace ridge::kernels::decode
