#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/random.hpp"
#include "ridge/evidence/serving.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {
namespace {

// That the terms hold as more than a number.
constexpr std::string_view kClusters = "cluster of sums over nodes";
constexpr std::string_view kReleases = "release of the engine";
// The first stream of random numbers for ranges, each of which has its own: what one draws does not
// depend on whether another is fixed.
constexpr std::uint64_t kRanges = 1000;

double value_at(const ServingTerms::Range& range, double share) {
  return range.low + share * (range.high - range.low);
}

void draw(const ServingTerms::Range& range, double share, ServingTerms& terms) {
  for (const std::string& key : range.keys) {
    (void)find_place(terms, key).assign(value_at(range, share));  // as check_ranges() saw to
  }
}

// Told by the key, which ends in the unit.
std::string range_words(const ServingTerms::Range& range) {
  const std::string& key = range.keys.front();
  return fmt::format("{} {:g} to {:g}", key.substr(key.rfind('/') + 1), range.low, range.high);
}

}  // namespace

ServingDraws::ServingDraws(const ServingTerms& terms, int samples,
                           const std::vector<std::string>& fixed)
    : samples_(samples) {
  std::vector<std::string> names;
  const auto is_drawn = [&](std::string_view name) {
    names.emplace_back(name);
    return std::find(fixed.begin(), fixed.end(), name) == fixed.end();
  };
  std::vector<std::size_t> ranges;
  for (std::size_t i = 0; i < terms.ranges.size(); ++i) {
    const ServingTerms::Range& range = terms.ranges[i];
    if (!is_drawn(range.name)) continue;
    ranges.push_back(i);
    drawn_.push_back({range.name, range_words(range), range.source});
  }
  clusters_ = is_drawn(kClusters);
  if (clusters_) {
    drawn_.push_back({std::string(kClusters), "those measured, in turn, where a line names none",
                      terms.sums_over_nodes.source});
  }
  if (is_drawn(kReleases)) {
    release_spread_ = terms.releases.spread;
    drawn_.push_back({std::string(kReleases),
                      fmt::format("a factor of median 1, standard deviation {:g} of its logarithm",
                                  release_spread_),
                      terms.releases.source});
  }
  for (const std::string& name : fixed) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw UserError(fmt::format("nothing that is drawn is named \"{}\"; there are {}", name,
                                  fmt::join(names, ", ")));
    }
  }
  if (samples == 0) drawn_.clear();
  if (ranges.empty()) return;
  for (int i = 1; i <= samples; ++i) {
    ServingTerms& other = terms_.emplace_back(terms);
    for (const std::size_t range : ranges) {
      draw(terms.ranges[range], Random(static_cast<std::uint64_t>(i), kRanges + range).uniform(),
           other);
    }
  }
}

void check_ranges(const JsonNode& node, const ServingTerms& terms) {
  for (std::size_t i = 0; i < terms.ranges.size(); ++i) {
    const ServingTerms::Range& range = terms.ranges[i];
    const JsonNode at = node.child("ranges").child(i);
    if (range.low > range.high) at.child("low").error("is above \"high\"");
    for (std::size_t k = 0; k < range.keys.size(); ++k) {
      ServingTerms other = terms;
      const JsonPlace place = find_place(other, range.keys[k]);
      if (!place || !place.is_number()) {
        at.child("keys").child(k).error("leads to no number of the terms");
        continue;
      }
      // The ends, and between them what no whole number is.
      for (const double share : {0.0, 1.0, 0.37}) {
        const double value = value_at(range, share);
        if (place.assign(value)) continue;
        at.child("keys").child(k).error(
            fmt::format("leads to {}, got {}", place.expectation(), significant(value, 4)));
      }
    }
  }
}

}  // namespace ridge::evidence
