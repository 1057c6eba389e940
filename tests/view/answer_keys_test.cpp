// One table of an answer's keys: what it writes, and what it says of that.
#include "ridge/view/answer_keys.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/ordered_json.hpp"

#include <array>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::view {
namespace {

struct Wheel {
  std::string name;
  std::optional<double> spokes;
};

const AnswerKeys<Wheel>& answer_keys(const Wheel* /*of*/) {
  static const AnswerKeys<Wheel> keys({{"name", "Of the wheel.", &Wheel::name},
                                       {"spokes", "", &Wheel::spokes},
                                       left_out<Wheel>("twice", "", &Wheel::spokes)},
                                      "wheel");
  return keys;
}

struct Draft {
  double p50 = 1;
};
const std::array kWind = {
    Figure<Draft>{{"p50", "/wind/p50", "", "", "median"}, [](const Draft& d) { return d.p50; }},
    Figure<Draft>{{"draws", "/wind/draws", "", "", "draws", FigureKind::count, 1.0, true},
                  [](const Draft& d) { return d.p50 > 0 ? 20.0 : kNoGroup; }},
    Figure<Draft>{{"low", "/wind/range/0", "", "", "low end"},
                  [](const Draft& d) { return d.p50 > 0 ? 0.5 : kNoGroup; }},
    Figure<Draft>{{"high", "/wind/range/1", "", "", "high end"},
                  [](const Draft& d) { return d.p50 > 0 ? 2.0 : kNoGroup; }},
};

struct Cart {
  std::vector<Wheel> wheels;
  Wheel spare;
  std::optional<Draft> draft;
};

const AnswerKeys<Cart>& answer_keys(const Cart* /*of*/) {
  static const AnswerKeys<Cart> keys(
      {constant<Cart>("kind", "cart"),
       {"wheels", "All but one.", &Cart::wheels},
       {"spare", "", &Cart::spare},
       {"count", "", [](const Cart& c) { return c.wheels.size(); }},
       {"ready", "", [](const Cart& c) { return !c.wheels.empty(); }},
       {"range", "",
        [](const Cart&) {
          return Interval{1.0, 2.5};
        }},
       {"weights", "",
        [](const Cart&) {
          return ByName<double>{{"rear", 2.0}, {"front", 1.0}};
        }},
       figures_of<Cart>(std::span<const Figure<Draft>>(kWind), &Cart::draft)});
  return keys;
}

TEST(AnswerKeys, WriteWhatTheirFunctionsGiveInTheirOrder) {
  const Cart cart{.wheels = {{"left", 8.0}, {"right", {}}}, .spare = {"spare", 3.0}, .draft = {}};
  EXPECT_EQ(OrderedJson::parse(answer_json(cart)).dump(),
            R"({"schema_version":1,"kind":"cart","wheels":[)"
            R"({"name":"left","spokes":8.0,"twice":8.0},{"name":"right","spokes":null}],)"
            R"("spare":{"name":"spare","spokes":3.0,"twice":3.0},"count":2,"ready":true,)"
            R"("range":[1.0,2.5],"weights":{"rear":2.0,"front":1.0}})");
}

TEST(AnswerKeys, DescribeWhatTheyWrite) {
  const auto schema = OrderedJson::parse(
      answer_schema(answer_keys(static_cast<const Cart*>(nullptr)), "Cart", "What rolls."));
  EXPECT_EQ(schema.at("description"), "What rolls.");
  EXPECT_EQ(schema.at("required").dump(),
            R"(["schema_version","kind","wheels","spare","count","ready","range","weights"])");
  const auto& properties = schema.at("properties");
  EXPECT_EQ(properties.at("wheels").dump(), R"({"description":"All but one.","type":"array",)"
                                            R"("items":{"$ref":"#/definitions/wheel"}})");
  EXPECT_EQ(properties.at("kind").dump(), R"({"const":"cart"})");
  EXPECT_EQ(properties.at("count").dump(), R"({"type":"integer"})");
  EXPECT_EQ(properties.at("ready").dump(), R"({"type":"boolean"})");
  EXPECT_EQ(properties.at("weights").dump(),
            R"({"type":"object","additionalProperties":{"type":"number"}})");
  const auto& wheel = schema.at("definitions").at("wheel");
  EXPECT_EQ(wheel.at("required").dump(), R"(["name","spokes"])");
  EXPECT_EQ(wheel.at("properties").at("spokes").dump(), R"({"type":["number","null"]})");
  EXPECT_EQ(wheel.at("properties").at("twice").dump(), R"({"type":"number"})");
}

TEST(AnswerKeys, AFigureThatMayBeLeftOutOfItsGroupIsNotRequired) {
  const auto schema =
      OrderedJson::parse(answer_schema(answer_keys(static_cast<const Cart*>(nullptr)), "Cart", ""));
  const auto& wind = schema.at("properties").at("wind");
  EXPECT_EQ(wind.at("type").dump(), R"(["object","null"])");
  EXPECT_EQ(wind.at("required").dump(), R"(["p50","range"])");
  const auto& range = wind.at("properties").at("range");
  EXPECT_EQ(range.at("type").dump(), R"(["array","null"])");
  EXPECT_EQ(range.at("items").size(), 2U);
}

}  // namespace
}  // namespace ridge::view
