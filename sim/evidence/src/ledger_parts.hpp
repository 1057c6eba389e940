// What the ledgers share beside their rows: stages of a step, errors by group, what is left out.
#pragma once

#include "ridge/evidence/ledger.hpp"
#include "ridge/view/figure.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace ridge::evidence {

// What a row is told in, and which way is better.
void name_figure(const view::FigureSpec& figure, LedgerRow& row);

// The critical path of a step by stage, and what waited before it; of several simulations each by
// its share.
void add_stage_parts(const answer::SimulationReport& report, LedgerRow& row, double share = 1.0);

// "calibrated:h800", without its held-out error.
[[nodiscard]] std::string short_provenance(const LedgerRow& row);
// What a column says of a row's kernel times where each row is a figure of its own: the letter of
// provenance_text() and provenance_page(), or the words themselves where they are one.
[[nodiscard]] std::string provenance_letter(const Ledger& ledger, const LedgerRow& row);

// What kernel times and links rest on, where a column has no room for it; without the held-out
// errors nobody should believe a figure.
[[nodiscard]] std::string provenance_text(const Ledger& ledger);
[[nodiscard]] std::string provenance_page(const Ledger& ledger);
// ledger_tables() for a terminal and as sections of a page.
[[nodiscard]] std::string tables_text(const Ledger& ledger);
[[nodiscard]] std::string notes_text(const Ledger& ledger);
[[nodiscard]] std::string notes_page(const Ledger& ledger);
[[nodiscard]] std::string tables_page(const Ledger& ledger);

}  // namespace ridge::evidence
