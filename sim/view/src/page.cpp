#include "ridge/view/page.hpp"

#include "ridge/base/json.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/view/svg.hpp"
#include "web_files.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::view {
namespace {

using svg::escaped;

// As it may stand in an attribute.
std::string attribute(std::string_view text) {
  std::string out = escaped(text);
  for (std::size_t at = 0; (at = out.find('"', at)) != std::string::npos;)
    out.replace(at, 1, "&quot;");
  return out;
}

// As it may stand in a script element: JSON may write any "<" as an escape.
std::string in_script(std::string text) {
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    text.replace(at, 1, "\\u003c");
  }
  return text;
}

// Five digits are more than any of these figures deserves, and a page of many of them stays small.
std::string short_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.5g}", value) : "null";
}

std::string data_element(std::string_view json) {
  return fmt::format("<script type=\"application/json\">{}</script>\n",
                     in_script(std::string(json)));
}

bool logarithmic(ScatterPlot::Scale scale) {
  return scale == ScatterPlot::Scale::logarithmic;
}

std::string json_of(const ScatterPlot& plot) {
  std::string out =
      fmt::format("{{\"x\":{},\"y\":{},\"series\":[",
                  OrderedJson{{"label", plot.x_label}, {"log", logarithmic(plot.x_scale)}}.dump(),
                  OrderedJson{{"label", plot.y_label}, {"log", logarithmic(plot.y_scale)}}.dump());
  for (const PlotSeries& series : plot.series) {
    OrderedJson head{{"name", series.name},
                     {"color", series.color},
                     {"opacity", series.opacity},
                     {"radius", series.radius},
                     {"diamond", series.marker == PlotSeries::Marker::diamond},
                     {"connected", series.connected},
                     {"labeled", series.labeled}};
    std::string text = head.dump();
    text.back() = ',';
    out += (out.back() == '[' ? "" : ",") + text + "\"points\":[";
    for (const PlotPoint& point : series.points) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
      if (out.back() != '[') out += ',';
      out += fmt::format("[{},{}", short_number(point.x), short_number(point.y));
      if (!point.label.empty()) out += "," + OrderedJson(point.label).dump();
      out += "]";
    }
    out += "],\"bars\":[";
    for (const PlotBar& bar : series.bars) {
      if (out.back() != '[') out += ',';
      out += fmt::format("[{},{},{},{}]", short_number(bar.x0), short_number(bar.y0),
                         short_number(bar.x1), short_number(bar.y1));
    }
    out += "]}";
  }
  OrderedJson guides = OrderedJson::array();
  for (const auto& guide : plot.guides)
    guides.push_back({{"value", guide.y}, {"label", guide.label}});
  OrderedJson lines = OrderedJson::array();
  for (const auto& line : plot.lines) {
    lines.push_back({{"across", line.across}, {"value", line.value}, {"label", line.label}});
  }
  return out + fmt::format("],\"guides\":{},\"lines\":{}}}", guides.dump(), lines.dump());
}

// Column by column, which is half as long as row by row.
std::string json_of(const Designs& designs) {
  OrderedJson columns = OrderedJson::array();
  for (const DesignColumn& column : designs.columns) {
    OrderedJson one{{"name", column.name},
                    {"words", column.words},
                    {"unit", column.unit},
                    {"axis", column.axis},
                    {"label", column.label}};
    if (column.low) one["low"] = *column.low;
    if (column.high) one["high"] = *column.high;
    columns.push_back(std::move(one));
  }
  std::string values = "[";
  for (std::size_t c = 0; c < designs.columns.size(); ++c) {
    values += c == 0 ? "[" : ",[";
    for (std::size_t row = 0; row < designs.rows.size(); ++row) {
      if (row > 0) values += ',';
      values += short_number(designs.value(row, c));
    }
    values += "]";
  }
  values += "]";
  OrderedJson front = OrderedJson::array();
  OrderedJson group = OrderedJson::array();
  OrderedJson reference = OrderedJson::array();
  for (std::size_t row = 0; row < designs.rows.size(); ++row) {
    front.push_back(designs.rows[row].front ? 1 : 0);
    group.push_back(designs.rows[row].group);
    if (designs.rows[row].reference) reference.push_back(row);
  }
  OrderedJson names = OrderedJson::object();
  for (const auto& [row, name] : designs.names) names[fmt::format("{}", row)] = name;
  OrderedJson lines = OrderedJson::array();
  for (const auto& bound : designs.bounds) {
    lines.push_back({{"column", bound.column}, {"value", bound.value}, {"label", bound.label}});
  }
  OrderedJson head{{"columns", columns},
                   {"labels", designs.labels},
                   {"front", front},
                   {"group", group},
                   {"groups", designs.groups},
                   {"reference", reference},
                   {"names", names},
                   {"lines", lines},
                   {"x", designs.x},
                   {"y", designs.y},
                   {"color", -1},
                   {"line", designs.front_is_a_line}};
  std::string text = head.dump();
  text.back() = ',';
  return text + "\"values\":" + values + "}";
}

const char* class_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "good";
    case Tone::bad:
      return "bad";
    case Tone::care:
      return "care";
    case Tone::plain:
      break;
  }
  return "soft";
}

// Of the parts of bars.
const char* part_color(std::size_t number) {
  constexpr std::array<const char*, 9> kParts = {"#0072b2", "#d55e00", "#009e73",
                                                 "#cc79a7", "#56b4e9", "#b58900",
                                                 "#7b5ea7", "#8a8f98", "#5b3a29"};
  return kParts[number % kParts.size()];
}

double bar_percent(double share) {
  return 100.0 * std::clamp(share, 0.0, 1.0);
}

}  // namespace

bool pages_have_charts() {
  return !web::kChartJs.empty();
}

Page::Page(std::string title, std::string maker)
    : title_(std::move(title)), maker_(std::move(maker)) {}

void Page::badge(std::string_view words, Tone tone) {
  head_ += fmt::format("<span class=\"badge {}\">{}</span>\n", class_of(tone), escaped(words));
}

void Page::lead(std::string_view words) {
  head_ += fmt::format("<p class=\"soft\">{}</p>\n", escaped(words));
}

void Page::section(std::string_view heading) {
  ++sections_;
  body_ += fmt::format("<h2 id=\"s{}\">{}</h2>\n", sections_, escaped(heading));
  contents_ += fmt::format("<a href=\"#s{}\">{}</a>\n", sections_, escaped(heading));
}

void Page::subsection(std::string_view heading) {
  body_ += fmt::format("<h3>{}</h3>\n", escaped(heading));
}

void Page::paragraph(std::string_view words, bool soft) {
  body_ += fmt::format("<p{}>{}</p>\n", soft ? " class=\"soft\"" : "", escaped(words));
}

void Page::figures(const std::vector<PageFigure>& figures) {
  body_ += "<div class=\"tiles\">\n";
  for (const PageFigure& f : figures) {
    body_ += fmt::format(
        "<div class=\"tile\" title=\"{}\"><div class=\"label\">{}</div><div class=\"value\">{} "
        "<span class=\"unit\">{}</span></div><div class=\"below\">{}</div></div>\n",
        attribute(f.words), escaped(f.label), escaped(f.value), escaped(f.unit), escaped(f.below));
  }
  body_ += "</div>\n";
}

void Page::warnings(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return;
  constexpr std::size_t kShown = 3;
  const auto item = [](const std::string& warning) {
    return fmt::format("<li>{}</li>\n", escaped(warning));
  };
  body_ += fmt::format("<div class=\"warnings\"><strong>{} {}</strong><ul>\n", warnings.size(),
                       warnings.size() == 1 ? "warning" : "warnings");
  const std::size_t first = warnings.size() > kShown + 1 ? kShown : warnings.size();
  for (std::size_t i = 0; i < first; ++i) body_ += item(warnings[i]);
  body_ += "</ul>";
  if (first < warnings.size()) {
    body_ += fmt::format("<details><summary>{} more</summary><ul>\n", warnings.size() - first);
    for (std::size_t i = first; i < warnings.size(); ++i) body_ += item(warnings[i]);
    body_ += "</ul></details>";
  }
  body_ += "</div>\n";
}

void Page::stacked_bars(const std::vector<StackedBar>& bars) {
  std::vector<std::string> kinds;
  const auto number_of = [&](const std::string& what) {
    const auto found = std::find(kinds.begin(), kinds.end(), what);
    if (found != kinds.end()) return static_cast<std::size_t>(found - kinds.begin());
    kinds.push_back(what);
    return kinds.size() - 1;
  };
  std::string drawn = "<div class=\"bars\">\n";
  for (const StackedBar& bar : bars) {
    drawn += fmt::format("<div class=\"what\">{}</div><div class=\"bar\">", escaped(bar.what));
    for (const BarPart& part : bar.parts) {
      constexpr double kRoomForWords = 0.08;
      constexpr double kLeastPercent = 0.05;
      if (bar_percent(part.share) < kLeastPercent) continue;
      const std::size_t number = number_of(part.what);
      drawn += fmt::format(
          "<span class=\"{}\" style=\"width:{:.2f}%;background:{}\" title=\"{}\">{}</span>",
          part.share < kRoomForWords ? "thin" : "", bar_percent(part.share), part_color(number),
          attribute(part.what + ": " + part.words),
          part.share < kRoomForWords ? "" : escaped(part.words));
    }
    drawn += "</div>\n";
  }
  drawn += "</div>\n";
  body_ += "<div class=\"legend\">\n";
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    body_ += fmt::format("<span><i style=\"background:{}\"></i>{}</span>\n", part_color(k),
                         escaped(kinds[k]));
  }
  body_ += "</div>\n" + drawn;
}

void Page::bars(const std::vector<BarPart>& bars) {
  body_ += "<div class=\"bars\">\n";
  for (const BarPart& bar : bars) {
    body_ += fmt::format(
        "<div class=\"what\">{}</div><div class=\"barwords\"><div class=\"bar\"><span "
        "style=\"width:{:.2f}%;background:{}\"></span></div><div class=\"words\">{}</div></div>\n",
        escaped(bar.what), bar_percent(bar.share), part_color(0), escaped(bar.words));
  }
  body_ += "</div>\n";
}

void Page::table(const PageTable& table) {
  const auto kind = [](const PageColumn& column) {
    return column.number ? " class=\"number\"" : column.prose ? " class=\"prose\"" : "";
  };
  body_ += "<div class=\"scroll\"><table class=\"sortable\"><thead><tr>";
  for (const PageColumn& column : table.columns) {
    body_ += fmt::format("<th scope=\"col\"{} title=\"{}\">{}</th>", kind(column),
                         attribute(column.words), escaped(column.heading));
  }
  body_ += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    body_ += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const bool sorts = table.columns[c].number && !row[c].text.empty();
      body_ += fmt::format("<td{}{}>{}</td>", kind(table.columns[c]),
                           sorts ? fmt::format(" data-value=\"{:.8g}\"", row[c].number) : "",
                           escaped(row[c].text));
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void Page::picture(std::string_view svg, std::string_view caption, bool wide) {
  body_ += fmt::format("<figure{}>{}<figcaption>{}</figcaption></figure>\n",
                       wide ? " class=\"wide\"" : "", svg, escaped(caption));
}

void Page::charts(const std::vector<ScatterPlot>& plots) {
  if (plots.empty()) return;
  charted_ = true;
  body_ += "<div class=\"charts\">\n";
  for (const ScatterPlot& plot : plots) {
    body_ += fmt::format(
        "<figure class=\"chart\"><h3>{}</h3>{}<div class=\"static\">{}</div></figure>\n",
        escaped(plot.title), data_element(json_of(plot)), plot.svg());
  }
  body_ += "</div>\n";
}

void Page::designs(const Designs& designs) {
  charted_ = true;
  body_ += fmt::format("<div class=\"explorer\">{}<figure class=\"static\">{}</figure></div>\n",
                       data_element(json_of(designs)), plot_of(designs).svg());
}

void Page::question(const PageQuestion& question) {
  section("The question");
  body_ += fmt::format("<pre>{}</pre>\n", escaped(question.command));
  if (question.json.empty()) return;
  body_ += fmt::format(
      "<p class=\"soft\">This page holds the question in full: <code>{} THIS-PAGE.html</code> asks "
      "it again.</p>\n<button type=\"button\" class=\"download\" data-name=\"{}\">Download it as "
      "{}</button>\n<details class=\"screen\"><summary>Show it</summary><pre>{}</pre></details>\n"
      "{}{}</script>\n",
      escaped(question.again), attribute(question.file_name), escaped(question.file_name),
      escaped(question.json), kQuestionInPage, in_script(question.json));
}

std::string Page::html() const {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"generator\" content=\"{}\">\n<title>{}</title>\n"
      "<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n<main>\n"
      "<div class=\"brand\">{}</div>\n<h1>{}</h1>\n{}<nav>\n{}</nav>\n",
      attribute(maker_), escaped(title_), web::kPageCss, escaped(maker_), escaped(title_), head_,
      contents_);
  out += body_;
  out += "</main>\n";
  if (charted_ && pages_have_charts()) out += fmt::format("<script>\n{}</script>\n", web::kChartJs);
  out += fmt::format("<script>\n{}</script>\n</body>\n</html>\n", web::kPageJs);
  return out;
}

}  // namespace ridge::view
