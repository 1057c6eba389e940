#include "ridge/view/figure.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/ordered_json.hpp"

#include <array>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::view {
namespace {

struct Answer {
  double seconds = 0.25;
  double gpus = 16;
  std::string chip = "a";
};
using AnswerFigure = Figure<Answer>;

const std::array kFigures = {
    AnswerFigure{{"time_ms", "/time_ms/mean", "", "ms", "milliseconds", FigureKind::number, 1e3},
                 [](const Answer& a) { return a.seconds; }},
    AnswerFigure{{"gpus", "/gpus", "", "", "GPUs", FigureKind::count},
                 [](const Answer& a) { return a.gpus; }},
    AnswerFigure{{"large", "/large", "", "", "whether there are many", FigureKind::truth},
                 [](const Answer& a) { return a.gpus > 8 ? 1.0 : 0.0; }},
    AnswerFigure{{"chip", "/chip", "", "", "the chip", FigureKind::label},
                 nullptr,
                 [](const Answer& a) { return a.chip; }},
    AnswerFigure{{"price", "/price", "", "", "unknown"}, [](const Answer&) { return kUnknown; }},
    AnswerFigure{{"queue_p50", "/queue/p50", "", "", "of no queue"},
                 [](const Answer&) { return kNoGroup; }},
    AnswerFigure{{"busy", "", "", "", "of sweeps alone"}, [](const Answer&) { return 0.5; }},
};

std::vector<FigureValue> values(const Answer& answer) {
  return figure_values(std::span<const AnswerFigure>(kFigures), answer);
}

TEST(Figure, StandsAtItsPlaceInJsonInItsUnit) {
  OrderedJson out;
  put_figures(values({}), out);
  EXPECT_EQ(
      out.dump(),
      R"({"time_ms":{"mean":250.0},"gpus":16,"large":true,"chip":"a","price":null,"queue":null})");
}

TEST(Figure, IsACellOfCsvEmptyWhereUnknown) {
  EXPECT_EQ(csv_names(values({})), (std::vector<std::string>{"time_ms", "gpus", "large", "chip",
                                                             "price", "queue_p50", "busy"}));
  EXPECT_EQ(csv_cells(values({})),
            (std::vector<std::string>{"250", "16", "true", "a", "", "", "0.5"}));
}

TEST(Figure, IsFoundByItsName) {
  const std::span<const AnswerFigure> figures(kFigures);
  EXPECT_DOUBLE_EQ(figure_named(figures, "time_ms").shown({}), 250.0);
  EXPECT_THROW((void)figure_named(figures, "tme_ms"), InvariantError);
}

}  // namespace
}  // namespace ridge::view
