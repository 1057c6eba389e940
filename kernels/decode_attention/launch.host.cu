#include "common/tensor_map.hpp"
#include "decode_attention/launch.hpp"
#include "decode_attention/seesaw_plan.hpp"
#include "decode_attention/tile_plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::decode {
namespace {

/// The cache as the copy engine sees it: the elements of a panel's row x all (page, head, token)
/// rows x panels. A box is `box_panels` panels of a tile, which land one after another; where a
/// page is less than a tile, its part of one panel.
CUtensorMap cache_map(const void* cache, const Arguments& arguments, int head_dim, KvType type,
                      int box_panels) {
  const bool bf16 = type == KvType::kBf16;
  const std::uint32_t bytes = bf16 ? 2 : 1;
  const std::uint32_t across = kPanelRowBytes / bytes;
  const auto dim = static_cast<std::uint64_t>(head_dim);
  const auto rows = static_cast<std::uint64_t>(arguments.cache_pages) *
                    (static_cast<std::uint64_t>(arguments.kv_heads) << arguments.page_log2);
  const int box_rows = std::min(1 << arguments.page_log2, kTileTokens);
  if (box_rows < kTileTokens) {
    box_panels = 1;
  }
  return make_tensor_map(
      bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_UINT8, cache,
      {across, rows, dim / across}, {dim * bytes, kPanelRowBytes},
      {across, static_cast<std::uint32_t>(box_rows), static_cast<std::uint32_t>(box_panels)});
}

/// MLA's cache in E4M3: a token is a row of kCodedTokenBytes, of which each map sees a part.
CodedLatentMaps coded_latent_maps(const void* cache, const Arguments& arguments) {
  const auto* const token = static_cast<const unsigned char*>(cache);
  const auto tokens = static_cast<std::uint64_t>(arguments.cache_pages) << arguments.page_log2;
  constexpr std::uint32_t kAcross = kLatentScaledValues;
  return {.codes = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_UINT8, token,
                                   {kAcross, tokens, kLatentScales}, {kCodedTokenBytes, kAcross},
                                   {kAcross, kTileTokens, 1}),
          .scales = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, token + kCodedScalesOffset,
                                    {kLatentScales, tokens}, {kCodedTokenBytes},
                                    {kLatentScales, kTileTokens}, CU_TENSOR_MAP_SWIZZLE_NONE),
          .rope = make_tensor_map(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, token + kCodedRopeOffset,
                                  {kLatentRopeDim, tokens}, {kCodedTokenBytes},
                                  {kLatentRopeDim, kTileTokens})};
}

}  // namespace

Launch::Launch(const Problem& problem, const Arguments& arguments, int max_ctas,
               Implementation implementation)
    : Launch(problem, arguments,
             implementation == Implementation::kHopper ? make_best_schedule(problem, max_ctas)
                                                       : make_schedule(problem, max_ctas),
             implementation) {}

Launch::Launch(const Problem& problem, const Arguments& arguments, Schedule schedule,
               Implementation implementation)
    : implementation_(implementation),
      head_dim_(problem.head_dim),
      value_dim_(problem.value_dim()),
      latent_(problem.latent()),
      kv_type_(problem.kv_type),
      schedule_(std::move(schedule)),
      arguments_(arguments),
      segments_(schedule_.segments),
      cta_begin_(schedule_.cta_begin),
      merges_(schedule_.merges),
      partial_output_(static_cast<std::size_t>(schedule_.partials) * kTileRows * value_dim_),
      partial_lse_(static_cast<std::size_t>(schedule_.partials) * kTileRows) {
  if (schedule_.pairing == Pairing::kPairs &&
      (implementation != Implementation::kHopper || latent_)) {
    throw std::invalid_argument("decode attention: no pairs of CTAs in this kernel");
  }
  if (implementation == Implementation::kHopperSeesaw && !seesaw_serves(problem)) {
    throw std::invalid_argument(
        "decode attention: the seesaw kernel serves MLA over a BF16 cache alone; take kHopper or "
        "kHopperOneTerm");
  }
  for (const Merge& merge : schedule_.merges) {
    most_partials_ = std::max(most_partials_, static_cast<int>(merge.partials));
  }
  arguments_.segments = segments_.data();
  arguments_.cta_begin = cta_begin_.data();
  arguments_.merges = merges_.data();
  arguments_.partial_output = partial_output_.data();
  arguments_.partial_lse = partial_lse_.data();
  if (implementation_ == Implementation::kPortable) {
    return;  // It has no use for tensor maps, and its chip may know none.
  }
  if (problem.coded_latent()) {
    coded_maps_ = coded_latent_maps(arguments.key, arguments);
  } else if (latent_) {
    maps_.key = cache_map(arguments.key, arguments, head_dim_, kv_type_, 1);
  } else if (tiles_by_map(head_dim_, kv_type_)) {
    const int panels = head_dim_ * (kv_type_ == KvType::kBf16 ? 2 : 1) / int{kPanelRowBytes};
    maps_.key = cache_map(arguments.key, arguments, head_dim_, kv_type_, panels);
    maps_.value = cache_map(arguments.value, arguments, head_dim_, kv_type_, panels);
  }
}

void Launch::run_hopper(const Arguments& arguments, int ctas, cudaStream_t stream) const {
  const bool bf16 = kv_type_ == KvType::kBf16;
  const Pairing pairing = schedule_.pairing;
  switch (head_dim_) {
    case 64:
      bf16 ? launch_attention<64, KvType::kBf16>(maps_, arguments, ctas, pairing, implementation_,
                                                 stream)
           : launch_attention<64, KvType::kE4m3>(maps_, arguments, ctas, pairing, implementation_,
                                                 stream);
      break;
    case 128:
      bf16 ? launch_attention<128, KvType::kBf16>(maps_, arguments, ctas, pairing, implementation_,
                                                  stream)
           : launch_attention<128, KvType::kE4m3>(maps_, arguments, ctas, pairing, implementation_,
                                                  stream);
      break;
    case 256:
      bf16 ? launch_attention<256, KvType::kBf16>(maps_, arguments, ctas, pairing, implementation_,
                                                  stream)
           : launch_attention<256, KvType::kE4m3>(maps_, arguments, ctas, pairing, implementation_,
                                                  stream);
      break;
    default:
      if (implementation_ == Implementation::kHopperSeesaw) {
        launch_seesaw_attention(maps_.key, arguments, ctas, stream);
      } else if (bf16) {
        launch_latent_attention(maps_.key, arguments, ctas, implementation_, stream);
      } else {
        launch_coded_latent_attention(coded_maps_, arguments, ctas, stream);
      }
      break;
  }
}

void Launch::run(cudaStream_t stream, const std::int32_t* block_table) const {
  Arguments arguments = arguments_;
  if (block_table != nullptr) {
    arguments.block_table = block_table;
  }
  const int ctas = schedule_.ctas();
  const bool hopper = implementation_ != Implementation::kPortable;
  hopper ? run_hopper(arguments, ctas, stream)
         : launch_portable_attention(head_dim_, kv_type_, arguments, ctas, stream);
  if (!schedule_.merges.empty()) {
    launch_combine(value_dim_, arguments, static_cast<int>(schedule_.merges.size()), most_partials_,
                   hopper, hopper && !latent_ && expands_in_registers(head_dim_, kv_type_), stream);
  }
}

}  // namespace ridge::kernels::decode
