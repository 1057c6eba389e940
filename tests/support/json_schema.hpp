// Validation against the schemas under docs/schema, by valijson.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace ridge::test {

class JsonSchema {
 public:
  // `name` as in docs/schema/<name>.schema.json.
  explicit JsonSchema(const std::string& name);
  ~JsonSchema();

  // Whether the value is valid: quicker than to name all violations.
  [[nodiscard]] bool accepts(const nlohmann::json& value) const;
  // The violations, or the empty string where the value is valid.
  [[nodiscard]] std::string violations(const nlohmann::json& value) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridge::test
