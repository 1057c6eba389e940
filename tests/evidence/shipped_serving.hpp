// The serving ledger as it is shipped, predicted once for all suites that look at it.
#pragma once

#include "ridge/evidence/ledger.hpp"

namespace ridge::test {

inline const evidence::Ledger& shipped_serving() {
  static const evidence::Ledger kLedger = evidence::predict_ledger("serving", 0);
  return kLedger;
}

}  // namespace ridge::test
