// What the ledgers share beside their rows: stages of a step, errors by group, what is left out.
#pragma once

#include "ridge/evidence/ledger.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace ridge::evidence {

// The critical path of a step by stage, and what waited before it.
void add_stage_parts(const answer::SimulationReport& report, LedgerRow& row);

// As tables for people; empty where there is none.
[[nodiscard]] std::string groups_text(const Ledger& ledger);
[[nodiscard]] std::string without_text(const Ledger& ledger);
[[nodiscard]] std::string gaps_text(const Ledger& ledger);
// As sections of a page.
[[nodiscard]] std::string groups_page(const Ledger& ledger);
[[nodiscard]] std::string without_page(const Ledger& ledger);
[[nodiscard]] std::string gaps_page(const Ledger& ledger);

}  // namespace ridge::evidence
