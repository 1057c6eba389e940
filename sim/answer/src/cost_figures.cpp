#include "ridge/answer/cost_report.hpp"

#include <array>

namespace ridge::answer {
namespace {

using view::FigureKind;
using view::kUnknown;
using Model = const models::ModelSpec&;
using Chip = const ChipFigures&;
using Pairing = const PairingFigures&;
using ModelFigure = view::Figure<models::ModelSpec>;
using ChipFigure = view::Figure<ChipFigures>;
using PairingFigure = view::Figure<PairingFigures>;

constexpr double kPerMillion = 1e6;
constexpr double kToMicroseconds = 1e6;

template <typename T, typename Get>
double known(const std::optional<T>& value, Get get) {
  return value ? get(*value).value() : kUnknown;
}
double paired(Pairing p, UsdPerToken (hw::theory::BestPairing::*cost)() const) {
  return p.best.found() ? (p.best.*cost)().value() : kUnknown;
}

const std::array kModelFigures = {
    ModelFigure{{"total_parameters", "/total_parameters", "", "",
                 "parameters, embeddings and LM head included"},
                [](Model m) { return m.total_parameters(); }},
    ModelFigure{
        {"active_parameters", "/active_parameters", "", "", "parameters multiplied with one token"},
        [](Model m) { return m.active_parameters(); }},
    ModelFigure{
        {"weight_bytes", "/weight_bytes", "", "B", "bytes of all weights at their precisions"},
        [](Model m) { return m.weight_bytes().value(); }},
    ModelFigure{{"layers", "/layers", "", "", "layers", FigureKind::count},
                [](Model m) { return static_cast<double>(m.layers()); }},
    ModelFigure{{"effective_rank", "/effective_rank", "", "",
                 "query heads x head dimension, rotary parts left out", FigureKind::count},
                [](Model m) { return static_cast<double>(m.effective_rank()); }},
    ModelFigure{{"kv_bytes_per_token", "/kv_bytes_per_token", "", "B",
                 "bytes that one more token adds to the cache of a sequence"},
                [](Model m) { return m.cache_bytes_per_token().value(); }},
};

const std::array kChipFigures = {
    ChipFigure{{"kv_bytes", "/kv_bytes", "", "B", "bytes of cache read per decoded token"},
               [](Chip c) { return c.demand.cache.value(); }},
    ChipFigure{{"attention_flop", "/attention_flop", "", "FLOP",
                "FLOP of the attention itself per decoded token"},
               [](Chip c) { return c.demand.attention.value(); }},
    ChipFigure{{"linear_flop", "/linear_flop", "", "FLOP",
                "FLOP of the attention's projections per decoded token"},
               [](Chip c) { return c.demand.attention_linear.value(); }},
    ChipFigure{{"ffn_flop", "/ffn_flop", "", "FLOP", "FLOP of the FFN per decoded token"},
               [](Chip c) { return c.demand.ffn.value(); }},
    ChipFigure{{"arithmetic_intensity", "/arithmetic_intensity", "", "FLOP/B",
                "attention FLOP per byte of cache"},
               [](Chip c) {
                 return c.demand.cache.value() > 0.0 ? c.demand.arithmetic_intensity().value()
                                                     : kUnknown;
               }},
    ChipFigure{{"ridge_point", "/ridge_point", "ridge\nFLOP/B", "FLOP/B",
                "FLOP per byte at which the chip turns compute-bound"},
               [](Chip c) { return c.ridge_point ? c.ridge_point->value() : kUnknown; }},
    ChipFigure{{"attention_bound", "/attention_bound", "waits\nfor", "",
                "what the attention waits for on the chip", FigureKind::label},
               nullptr,
               [](Chip c) {
                 return c.time ? std::string(hw::name_of(c.time->attention_bound)) : std::string();
               }},
    ChipFigure{{"attention_us_per_token", "/attention_us_per_token", "attention\nus/token", "us",
                "microseconds that a token's attention and projections keep one chip busy",
                FigureKind::number, kToMicroseconds},
               [](Chip c) { return known(c.time, [](const auto& t) { return t.attention; }); }},
    ChipFigure{{"ffn_us_per_token", "/ffn_us_per_token", "FFN\nus/token", "us",
                "microseconds that a token's FFN keeps one chip busy", FigureKind::number,
                kToMicroseconds},
               [](Chip c) { return known(c.time, [](const auto& t) { return t.ffn; }); }},
    ChipFigure{
        {"total_us_per_token", "/total_us_per_token", "total\nus/token", "us",
         "microseconds that a token keeps one chip busy", FigureKind::number, kToMicroseconds},
        [](Chip c) { return known(c.time, [](const auto& t) { return t.total(); }); }},
    ChipFigure{{"attention_usd_per_Mtok", "/attention_usd_per_Mtok", "attention\nUSD/Mtok",
                "USD/Mtok", "US dollars per million tokens: attention and its projections",
                FigureKind::number, kPerMillion},
               [](Chip c) { return known(c.cost, [](const auto& x) { return x.attention; }); }},
    ChipFigure{{"ffn_usd_per_Mtok", "/ffn_usd_per_Mtok", "FFN\nUSD/Mtok", "USD/Mtok",
                "US dollars per million tokens: FFN", FigureKind::number, kPerMillion},
               [](Chip c) { return known(c.cost, [](const auto& x) { return x.ffn; }); }},
    ChipFigure{{"total_usd_per_Mtok", "/total_usd_per_Mtok", "total\nUSD/Mtok", "USD/Mtok",
                "US dollars per million tokens on the chip", FigureKind::number, kPerMillion},
               [](Chip c) { return known(c.cost, [](const auto& x) { return x.total(); }); }},
};

const std::array kPairingFigures = {
    PairingFigure{{"afd_attention_chip", "/attention_chip", "", "",
                   "the cheapest of the chips for the attention", FigureKind::label},
                  nullptr,
                  [](Pairing p) { return p.attention_chip; }},
    PairingFigure{{"afd_ffn_chip", "/ffn_chip", "", "", "the cheapest of the chips for the FFN",
                   FigureKind::label},
                  nullptr,
                  [](Pairing p) { return p.ffn_chip; }},
    PairingFigure{{"afd_attention_usd_per_Mtok", "/attention_usd_per_Mtok", "", "USD/Mtok",
                   "US dollars per million tokens: attention on its best chip", FigureKind::number,
                   kPerMillion},
                  [](Pairing p) { return paired(p, &hw::theory::BestPairing::attention); }},
    PairingFigure{
        {"afd_ffn_usd_per_Mtok", "/ffn_usd_per_Mtok", "", "USD/Mtok",
         "US dollars per million tokens: FFN on its best chip", FigureKind::number, kPerMillion},
        [](Pairing p) { return paired(p, &hw::theory::BestPairing::ffn); }},
    PairingFigure{
        {"afd_usd_per_Mtok", "/total_usd_per_Mtok", "", "USD/Mtok",
         "US dollars per million tokens of the best pairing", FigureKind::number, kPerMillion},
        [](Pairing p) { return paired(p, &hw::theory::BestPairing::total); }},
};

}  // namespace

std::span<const ModelFigure> model_figures() {
  return kModelFigures;
}
std::span<const ChipFigure> chip_figures() {
  return kChipFigures;
}
std::span<const PairingFigure> pairing_figures() {
  return kPairingFigures;
}

}  // namespace ridge::answer
