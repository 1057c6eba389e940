// Mistakes with units that the compiler must catch. See CMakeLists.txt for how each is tried.
#include "ridge/base/quantity.hpp"

#ifdef MISTAKE
#define MISTAKE_HERE(wrong, right) wrong
#else
#define MISTAKE_HERE(wrong, right) right
#endif

namespace ridge {

constexpr Seconds transfer_time(Bytes payload, BytesPerSecond bandwidth) {
  return payload / bandwidth;
}
constexpr Bytes kPayload{1e6};
constexpr BytesPerSecond kBandwidth{50e9};

// Each mistake stands on one line.
// clang-format off
#if defined(CASE_AddingBytesToSeconds)
constexpr auto kSum = Seconds{1.0} + MISTAKE_HERE(kPayload, Seconds{2.0});
#elif defined(CASE_SwappingArguments)
constexpr auto kTime = MISTAKE_HERE(transfer_time(kBandwidth, kPayload), transfer_time(kPayload, kBandwidth));
#elif defined(CASE_PassingARawDoubleWhereARateBelongs)
constexpr auto kTime = transfer_time(kPayload, MISTAKE_HERE(50e9, kBandwidth));
#elif defined(CASE_AssigningANumberToAQuantity)
constexpr Seconds kTime = MISTAKE_HERE(1.0, Seconds{1.0});
#elif defined(CASE_TakingAQuantityForANumber)
constexpr double kNumber = MISTAKE_HERE(kPayload, kPayload.value());
#elif defined(CASE_ComparingBytesWithFlop)
constexpr bool kMore = kPayload < MISTAKE_HERE(Flop{1.0}, Bytes{1.0});
#elif defined(CASE_DividingTheWrongWayRound)
constexpr Seconds kTime = MISTAKE_HERE(kBandwidth / kPayload, kPayload / kBandwidth);
#elif defined(CASE_MultiplyingWhereDivisionBelongs)
constexpr Seconds kTime = MISTAKE_HERE(kPayload * kBandwidth, kPayload / kBandwidth);
#elif defined(CASE_AccumulatingAnotherUnit)
constexpr Seconds total() { Seconds sum; sum += MISTAKE_HERE(kPayload, Seconds{1.0}); return sum; }
#elif defined(CASE_PriceTimesBytesIsNoCostPerToken)
constexpr UsdPerToken kCost = MISTAKE_HERE(UsdPerByte{1.0} * kPayload, UsdPerByte{1.0} * kPayload / Tokens{1.0});
#endif  // cases
// clang-format on

}  // namespace ridge
