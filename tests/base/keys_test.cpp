// One table of keys: what it reads and refuses, writes, describes, and finds by pointer.
#include "ridge/base/keys.hpp"

#include "ridge/base/ordered_json.hpp"

#include <array>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge {

enum class Color { red, green };
constexpr std::array<Named<Color>, 2> kColors = {{{"green", Color::green}, {"red", Color::red}}};

struct Chart {
  double scale = 0;
  std::optional<JsonNode> legend;
  std::optional<double> depth;
  std::map<std::string, std::optional<double>> marks;
};
const KeyTable& keys_of(const Chart* /*of*/) {
  static const KeyTable table = key_table<Chart>(
      "chart", "",
      {key_of_all<Chart>("edition", "", keys::constant(3)),
       key_as<&Chart::scale>("scale", "", keys::rounded(3, positive())),
       key<&Chart::legend>("legend", "Read later."),
       key_as<&Chart::depth>("depth", "",
                             keys::nullable(keys::real({}), keys::optional_store<double>()))
           .needed(),
       key<&Chart::marks>("marks", "")});
  return table;
}

struct Wheel {
  std::string name;
  std::int64_t spokes = 8;
  bool operator==(const Wheel&) const = default;
};
struct Sail {
  double area = 0;
  bool operator==(const Sail&) const = default;
};
struct Motor {
  Watts power;
  bool quiet = false;
  std::optional<std::int64_t> cylinders;  // only where it is not quiet
  bool operator==(const Motor&) const = default;
};
using Drive = std::variant<Sail, Motor>;
struct Vehicle {
  std::string name;
  Color color = Color::red;
  BytesPerSecond radio{1e9};
  std::uint32_t seats = 2;
  std::optional<Seconds> delay;
  std::vector<Wheel> wheels;
  std::vector<double> gears;
  Drive drive;
  bool operator==(const Vehicle&) const = default;
};

const KeyTable& keys_of(const Wheel* /*of*/) {
  static const KeyTable table =
      key_table<Wheel>("wheel", "What rolls.",
                       {key<&Wheel::spokes>("spokes", "Of wire.", between(0, 64)).optional()});
  return table;
}
const KeyTable& keys_of(const Sail* /*of*/) {
  static const KeyTable table = key_table<Sail>("", "", {key<&Sail::area>("area", "", positive())});
  return table;
}
const KeyTable& keys_of(const Motor* /*of*/) {
  static const KeyTable table = key_table<Motor>(
      "", "", {key<&Motor::power>("power_W", "At the shaft.", positive(1e6))},
      cases("quiet", "",
            {when<&Motor::quiet>(true, true, "electric"),
             when<&Motor::quiet>(false, false, "burning",
                                 {key<&Motor::cylinders>("cylinders", "", between(1, 16))})})
          .usually(1));
  return table;
}
const KeyTable& keys_of(const Drive* /*of*/) {
  static const KeyTable table = key_table<Drive>(
      "drive", "", {},
      cases("kind", "What moves it.",
            {when_holds<Sail, Drive>("sail", "by wind"), when_holds<Motor, Drive>("motor", "")}));
  return table;
}
const KeyTable& keys_of(const Vehicle* /*of*/) {
  using V = Vehicle;
  static const KeyTable table =
      key_table<V>(
          "", "What carries people.",
          {
              key<&V::name>("name", "As painted on it."),
              key<&V::color>("color", "Of the paint.", std::span(kColors)).optional(),
              key<&V::radio>("radio_GBps", "").optional(),
              key<&V::seats>("seats", "", between(1, 1000)).optional(),
              key<&V::delay>("delay_ms", ""),
              named_list<&V::wheels, &Wheel::name>("wheels", "", "at least one wheel"),
              key<&V::gears>("gears", "", keys::AtLeastOne{"at least one gear"}, at_least(0)),
              key<&V::drive>("drive", ""),
          })
          .relation([](const JsonNode& node, const void* object) {
            if (static_cast<const V*>(object)->seats > 4 &&
                static_cast<const V*>(object)->wheels.size() < 2) {
              node.error("five people need two wheels");
            }
          })
          .file("vehicle");
  return table;
}

namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json bus() {
  return json::parse(R"({"name": "bus", "wheels": {"front": {"spokes": 5}, "rear": {}},
      "gears": [1, 2.5], "delay_ms": 2, "radio_GBps": 3.35, "color": "green",
      "drive": {"kind": "motor", "power_W": 100, "cylinders": 4}})");
}

std::vector<std::string> read(const json& document, Vehicle& out) {
  Diagnostics diagnostics;
  const JsonContext context{.file = "x.json", .diagnostics = &diagnostics};
  read_keys(JsonNode(document, context), out);
  return diagnostics.errors();
}

std::vector<std::string> problems(const json& document) {
  Vehicle out;
  return read(document, out);
}

Vehicle vehicle(const json& document) {
  Vehicle out;
  EXPECT_THAT(read(document, out), IsEmpty());
  return out;
}

TEST(KeyTable, ReadsEveryMemberInItsUnit) {
  const Vehicle v = vehicle(bus());
  EXPECT_EQ(v.name, "bus");
  EXPECT_EQ(v.color, Color::green);
  EXPECT_DOUBLE_EQ(v.radio.value(), 3.35e9);
  EXPECT_EQ(v.seats, 2U);
  EXPECT_DOUBLE_EQ(v.delay->value(), 2e-3);
  EXPECT_THAT(v.wheels, ElementsAre(Wheel{"front", 5}, Wheel{"rear", 8}));
  EXPECT_THAT(v.gears, ElementsAre(1.0, 2.5));
  EXPECT_EQ(std::get<Motor>(v.drive), (Motor{Watts{100}, false, 4}));
}

TEST(KeyTable, TellsEveryMistakeWithItsPlaceAndGoesOn) {
  json wrong = bus();
  wrong["color"] = "greem";
  wrong["radio_GBps"] = 0;
  wrong["seats"] = 1.5;
  wrong["wheels"]["front"]["spoke"] = 3;
  wrong["gears"] = json::array();
  wrong["drive"].erase("power_W");
  EXPECT_THAT(
      problems(wrong),
      ElementsAre(
          "x.json: /color: expected one of green, red, got \"greem\"; did you mean \"green\"?",
          "x.json: /radio_GBps: expected a number of gigabytes (1e9) per second, per "
          "direction above 0, got 0",
          "x.json: /seats: expected a whole number from 1 to 1000, got 1.5",
          "x.json: /wheels/front: unknown key \"spoke\"; did you mean \"spokes\"?",
          "x.json: /gears: expected at least one gear, got an array",
          "x.json: /drive: missing key \"power_W\" (in watts)"));
}

TEST(KeyTable, ACaseTakesItsOwnKeysOnly) {
  json wrong = bus();
  wrong["drive"]["quiet"] = true;
  EXPECT_THAT(problems(wrong), ElementsAre(HasSubstr("/drive: unknown key \"cylinders\"")));
  wrong["drive"].erase("cylinders");
  EXPECT_THAT(problems(wrong), IsEmpty());
  wrong["drive"]["kind"] = "mast";
  EXPECT_THAT(problems(wrong), ElementsAre(HasSubstr("/drive/kind: expected one of sail, motor")));
}

TEST(KeyTable, ARelationIsCheckedWhereAllKeysAreInOrder) {
  json wrong = bus();
  wrong["seats"] = 5;
  EXPECT_THAT(problems(wrong), IsEmpty());
  wrong["wheels"].erase("rear");
  EXPECT_THAT(problems(wrong), ElementsAre("x.json: five people need two wheels"));
}

TEST(KeyTable, WhatItWritesReadsBackTheSame) {
  const Vehicle before = vehicle(bus());
  const json written = json::parse(json_text(before));
  EXPECT_EQ(vehicle(written), before);
  EXPECT_EQ(written.at("radio_GBps"), 3.35);
  EXPECT_FALSE(written.contains("seats")) << "stands at its default";
  EXPECT_EQ(written, bus());
}

TEST(KeyTable, ANumberIsFoundByPointerAndKeptInRange) {
  Vehicle v = vehicle(bus());
  const JsonPlace radio = find_place(v, "/radio_GBps");
  ASSERT_TRUE(radio && radio.is_number());
  EXPECT_TRUE(radio.assign(2));
  EXPECT_DOUBLE_EQ(v.radio.value(), 2e9);
  EXPECT_FALSE(radio.assign(-1));
  EXPECT_FALSE(radio.assign(std::numeric_limits<double>::quiet_NaN()));
  EXPECT_DOUBLE_EQ(v.radio.value(), 2e9);
  EXPECT_TRUE(find_place(v, "/wheels/rear/spokes").assign(12));
  EXPECT_EQ(v.wheels[1].spokes, 12);
  EXPECT_FALSE(find_place(v, "/wheels/rear/spokes").assign(12.5));
  EXPECT_EQ(find_place(v, "/wheels/rear/spokes").expectation(), "a whole number from 0 to 64");
  EXPECT_TRUE(find_place(v, "/gears/1").assign(7));
  EXPECT_EQ(v.gears[1], 7);
  EXPECT_TRUE(find_place(v, "/drive/cylinders").assign(6));
  EXPECT_EQ(std::get<Motor>(v.drive).cylinders, 6);
  v.delay.reset();
  EXPECT_FALSE(find_place(v, "/delay_ms").assign(-1));
  EXPECT_FALSE(v.delay.has_value());
  EXPECT_TRUE(find_place(v, "/delay_ms").assign(4));
  EXPECT_DOUBLE_EQ(v.delay->value(), 4e-3);
  for (const char* nowhere : {"", "/wheels/middle/spokes", "/gears/2", "/drive/area", "/nmae"}) {
    EXPECT_FALSE(find_place(v, nowhere)) << nowhere;
  }
}

TEST(KeyTable, DescribesItselfAsASchema) {
  const json schema = json::parse(keys_of(static_cast<const Vehicle*>(nullptr)).schema());
  EXPECT_EQ(schema.at("title"), "Ridge vehicle");
  EXPECT_EQ(schema.at("required"), json::parse(R"(["name", "wheels", "gears", "drive"])"));
  EXPECT_EQ(schema.at("additionalProperties"), false);
  const json& properties = schema.at("properties");
  EXPECT_EQ(properties.at("seats"),
            json::parse(R"({"type": "integer", "minimum": 1, "maximum": 1000, "default": 2})"));
  EXPECT_EQ(properties.at("radio_GBps"),
            json::parse(R"({"type": "number", "exclusiveMinimum": 0, "default": 1})"));
  EXPECT_EQ(properties.at("wheels").at("additionalProperties").at("$ref"), "#/definitions/wheel");
  const json& drives = schema.at("definitions").at("drive").at("oneOf");
  ASSERT_EQ(drives.size(), 3U);
  EXPECT_EQ(drives[1].at("required"), json::parse(R"(["kind", "quiet", "power_W"])"));
  EXPECT_FALSE(drives[1].at("properties").contains("cylinders"));
  EXPECT_EQ(drives[2].at("properties").at("quiet").at("const"), false);
}

TEST(KeyTable, ItsPageNamesEveryKey) {
  const std::string page = keys_of(static_cast<const Vehicle*>(nullptr)).page();
  for (const char* key : {"`name`", "`radio_GBps`", "`spokes`", "`area`", "`cylinders`"}) {
    EXPECT_THAT(page, HasSubstr(key));
  }
  EXPECT_THAT(page, HasSubstr("| `seats` |  | a whole number from 1 to 1000 | `2` |"));
}

TEST(KeyTable, KeepsWhatIsReadLaterAndTellsNullFromAbsent) {
  Diagnostics diagnostics;
  const JsonContext context{.file = "chart.json", .diagnostics = &diagnostics};
  const json good = json::parse(R"({"edition": 3, "scale": 0.12345, "legend": {"a": [1]},
                                    "depth": null, "marks": {"x": null, "y": 2}})");
  Chart chart;
  read_keys(JsonNode(good, context), chart);
  EXPECT_THAT(diagnostics.errors(), IsEmpty());
  ASSERT_TRUE(chart.legend);
  EXPECT_EQ(chart.legend->child("a").pointer(), "/legend/a");
  EXPECT_FALSE(chart.depth);
  EXPECT_FALSE(chart.marks.at("x"));
  EXPECT_EQ(chart.marks.at("y"), 2.0);
  OrderedJson written;
  write_keys(chart, written);
  EXPECT_EQ(written.dump(), R"({"edition":3,"scale":0.123,"legend":{"a":[1]},"depth":null,)"
                            R"("marks":{"x":null,"y":2}})");
  chart.scale = 8.0;
  write_keys(chart, written);
  EXPECT_EQ(written.at("scale").dump(), "8.0");
  const json bad = json::parse(R"({"edition": 4, "scale": 2, "marks": {"x": "two"}})");
  Chart refused;
  read_keys(JsonNode(bad, context), refused);
  EXPECT_THAT(
      diagnostics.errors(),
      ElementsAre("chart.json: /edition: expected 3, got 4", HasSubstr("missing key \"depth\""),
                  HasSubstr("/marks/x: expected a number, got \"two\"")));
}

}  // namespace
}  // namespace ridge
