#include "mutation.hpp"

namespace ridge::test {
namespace {

using nlohmann::json;

class Mutator {
 public:
  explicit Mutator(const json& document) : document_(document) {}

  std::vector<Mutation> run() {
    visit(document_, json::json_pointer());
    return std::move(out_);
  }

 private:
  void replace(const json::json_pointer& at, const json& value) {
    json changed = document_;
    changed[at] = value;
    out_.push_back({at.to_string() + " becomes " + value.dump(), std::move(changed)});
  }

  void visit(const json& value, const json::json_pointer& at) {
    static const json kReplacements =
        json::parse(R"([null, true, "mistyped", -1, 0, 0.5, 1e30, {}, [], {"mistyped": 1}, [1]])");
    for (const json& replacement : kReplacements) {
      if (replacement != value) replace(at, replacement);
    }
    if (value.is_object()) {
      json more = value;
      more["mistyped"] = 1;
      replace(at, more);
      for (const auto& item : value.items()) {
        json less = value;
        less.erase(item.key());
        json changed = document_;
        changed[at] = less;
        out_.push_back({(at / item.key()).to_string() + " is missing", std::move(changed)});
        visit(item.value(), at / item.key());
      }
    } else if (value.is_array()) {
      // The elements of a long array are read by the same code: the first ones and the last stand
      // for all.
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i < 3 || i + 1 == value.size()) visit(value[i], at / i);
      }
    }
  }

  const json& document_;
  std::vector<Mutation> out_;
};

}  // namespace

std::vector<Mutation> mutations(const json& document) {
  return Mutator(document).run();
}

}  // namespace ridge::test
