// What one cell of a published table asks, gathered from its table, its column and its row.
#pragma once

#include "ridge/base/quantity.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace ridge {
class KeyTable;
}

namespace ridge::evidence {

// How many digits the report printed.
struct PrintedDigits {
  enum class Kind : std::uint8_t { significant, decimals };
  Kind kind = Kind::significant;
  std::int64_t count = 3;

  // `value` as the report would print it.
  [[nodiscard]] std::string text(double value) const;
};

struct CellQuestion {
  std::optional<std::string> quantity;  // of quantities.hpp
  std::optional<std::string> unit;      // the report's: "GB", "USD/Mtok"
  std::optional<PrintedDigits> digits;
  std::optional<std::string> model;
  std::optional<std::string> chip;
  std::optional<std::string> attention;  // the name of an attention block
  std::optional<double> context;         // tokens
  std::optional<Seconds> stage_budget;   // in place of the assumptions' own
  std::optional<Seconds> tpot;
  std::optional<std::int64_t> stages;
  std::optional<BytesPerSecond> nic_bandwidth;
  // The two quantities of a ratio or a saving.
  std::shared_ptr<CellQuestion> of;
  std::shared_ptr<CellQuestion> over;

  // `inner`'s answers where it has them, ours elsewhere.
  [[nodiscard]] CellQuestion refined_by(const CellQuestion& inner) const;

  // With paths from the folder of a file.
  void locate(const std::string& file);
};
// Each may be left out: what a table, a column or a row does not say, another does.
[[nodiscard]] const KeyTable& keys_of(const CellQuestion*);

}  // namespace ridge::evidence
