// A page for a browser in one file that asks no network for anything: words, figures, bars, tables,
// pictures, and charts that answer the pointer where the chart library was there when Ridge was
// built. Light or dark as the reader has it, narrow or wide, and on paper.
#pragma once

#include "ridge/view/designs.hpp"
#include "ridge/view/scatter_plot.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view {

enum class Tone : std::uint8_t { plain, good, bad, care };

// A figure worth a tile.
struct PageFigure {
  std::string label;
  std::string value;
  std::string unit;
  std::string below;  // its interval, or where it comes from
  std::string words;  // in full, when the pointer rests on it
};

// A part of a bar, or all of one.
struct BarPart {
  std::string what;
  double share = 0.0;  // of the bar's whole length
  std::string words;   // beside it, or when the pointer rests on it
};
struct StackedBar {
  std::string what;
  std::vector<BarPart> parts;
};

struct PageCell {
  std::string text;
  double number = 0.0;  // what a column of numbers is sorted by
};
struct PageColumn {
  std::string heading;
  bool number = false;
  std::string words;   // what it means
  bool prose = false;  // its cells are sentences, or long names without a space
};
struct PageTable {
  std::vector<PageColumn> columns;
  std::vector<std::vector<PageCell>> rows;
};

// What the page answers, so that it can be asked again.
struct PageQuestion {
  std::string command;    // as it was typed
  std::string json;       // empty where the question is no file
  std::string file_name;  // to download it under
  std::string again;      // "ridge simulate": what takes this page as its file
};

class Page {
 public:
  Page(std::string title, std::string maker);

  // Below the title.
  void lead(std::string_view words);
  void badge(std::string_view words, Tone tone);

  void section(std::string_view heading);
  void subsection(std::string_view heading);
  void paragraph(std::string_view words, bool soft = false);
  void figures(const std::vector<PageFigure>& figures);
  void warnings(const std::vector<std::string>& warnings);
  void stacked_bars(const std::vector<StackedBar>& bars);
  void bars(const std::vector<BarPart>& bars);
  void table(const PageTable& table);
  // An SVG document; a wide one is moved sideways on a narrow screen.
  void picture(std::string_view svg, std::string_view caption, bool wide);
  // Charts that stand beside each other where there is room.
  void charts(const std::vector<ScatterPlot>& plots);
  void designs(const Designs& designs);
  void question(const PageQuestion& question);

  [[nodiscard]] std::string html() const;

 private:
  std::string title_;
  std::string maker_;
  std::string head_;
  std::string body_;
  std::string contents_;  // links to the sections
  bool charted_ = false;
  int sections_ = 0;
};

// Whether pages have charts that answer the pointer.
[[nodiscard]] bool pages_have_charts();

}  // namespace ridge::view
