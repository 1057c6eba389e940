#include "json_schema.hpp"

#include "source_tree.hpp"

#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

namespace ridge::test {

using Adapter = valijson::adapters::NlohmannJsonAdapter;

struct JsonSchema::Impl {
  valijson::Schema schema;
  // Kept, since it keeps the regular expressions that it has compiled.
  valijson::Validator validator{valijson::Validator::kStrongTypes};
};

JsonSchema::JsonSchema(const std::string& name) : impl_(std::make_unique<Impl>()) {
  const auto document = nlohmann::json::parse(source_text("docs/schema/" + name + ".schema.json"));
  valijson::SchemaParser(valijson::SchemaParser::kDraft7)
      .populateSchema(Adapter(document), impl_->schema);
}

JsonSchema::~JsonSchema() = default;

bool JsonSchema::accepts(const nlohmann::json& value) const {
  return impl_->validator.validate(impl_->schema, Adapter(value), nullptr);
}

std::string JsonSchema::violations(const nlohmann::json& value) const {
  valijson::ValidationResults results;
  if (impl_->validator.validate(impl_->schema, Adapter(value), &results)) return {};
  std::string text;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    for (const std::string& step : error.context) text += step;
    text += ": " + error.description + "\n";
  }
  return text.empty() ? "invalid" : text;
}

}  // namespace ridge::test
