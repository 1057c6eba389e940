// The files of sim/view/web and the chart library, as the build found them.
#pragma once

#include <string_view>

namespace ridge::view::web {

extern const std::string_view kPageCss;
extern const std::string_view kPageJs;
extern const std::string_view kChartJs;  // empty where it was not there

}  // namespace ridge::view::web
