#include "bench/item.hpp"

#include "bench/measurement.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace ridge::kernels::bench {
namespace {

std::string gate_of(const Family& family, const std::string& kernel, const Shape& shape) {
  return std::string(family.name) + " " + kernel + " " + fields_of(shape, family.instance_fields);
}

bool can_run(const Family& family, const std::string& kernel, const Shape& shape,
             const DeviceFacts& device) {
  return family.runs == nullptr || family.runs(kernel, shape, device);
}

bool matches(const Options& options, const std::string& key) {
  return options.only.empty() || key.find(options.only) != std::string::npos;
}

template <typename Predicate>
std::vector<Item> taken(std::vector<Item>& items, Predicate predicate) {
  const auto rest = std::stable_partition(items.begin(), items.end(),
                                          [&](const Item& item) { return !predicate(item); });
  std::vector<Item> chosen(std::make_move_iterator(rest), std::make_move_iterator(items.end()));
  items.erase(rest, items.end());
  return chosen;
}

}  // namespace

Item item_of(const Family& family, Case test) {
  Item item;
  item.kind = Item::Kind::kCase;
  item.key = std::string(family.name) + " " + test.kernel + ": " + test.name + " [" +
             test.shape.to_string() + "]";
  item.gate = gate_of(family, test.kernel, test.shape);
  item.test = std::move(test);
  return item;
}

Item item_of(const Family& family, Point point) {
  Item item;
  item.kind = Item::Kind::kPoint;
  item.key = point_key(family.name, point);
  item.gate = gate_of(family, point.kernel, point.shape);
  item.point = std::move(point);
  return item;
}

std::vector<const Family*> chosen_families(const std::vector<Family>& families,
                                           const Options& options) {
  for (const std::string& name : options.families) {
    if (std::none_of(families.begin(), families.end(),
                     [&](const Family& family) { return family.name == name; })) {
      throw UsageError("--family: there is no family '" + name + "'; --list names them");
    }
  }
  std::vector<const Family*> chosen;
  for (const Family& family : families) {
    if (options.families.empty() || std::count(options.families.begin(), options.families.end(),
                                               std::string(family.name)) != 0) {
      chosen.push_back(&family);
    }
  }
  return chosen;
}

std::vector<Item> point_items(const Family& family, const Options& options,
                              const DeviceFacts& device) {
  std::vector<Item> items;
  if (options.extent == Extent::kNew && !family.has_new) {
    return items;
  }
  for (Point& point : family.grid(options.extent, device)) {
    if (!can_run(family, point.kernel, point.shape, device)) {
      continue;
    }
    Item item = item_of(family, std::move(point));
    if (matches(options, item.key)) {
      items.push_back(std::move(item));
    }
  }
  return items;
}

std::vector<Item> case_items(const Family& family, Extent extent, const Options& options,
                             const DeviceFacts& device) {
  std::vector<Item> items;
  if (extent == Extent::kNew && !family.has_new) {
    return items;
  }
  for (Case& test : family.cases(extent, device)) {
    if ((extent == Extent::kNew && !test.is_new) ||
        !can_run(family, test.kernel, test.shape, device)) {
      continue;
    }
    Item item = item_of(family, std::move(test));
    if (matches(options, item.key)) {
      items.push_back(std::move(item));
    }
  }
  return items;
}

std::vector<Task> plan_run(const std::vector<Family>& families, const Options& options,
                           const DeviceFacts& device) {
  struct OfFamily {
    const Family* family;
    std::vector<Item> cases;
    std::vector<Item> points;
  };
  std::vector<OfFamily> work;
  for (const Family* family : chosen_families(families, options)) {
    OfFamily of_family{family, {}, {}};
    if (options.action == Action::kCheck) {
      of_family.cases = case_items(*family, options.extent, options, device);
    } else {
      of_family.points = point_items(*family, options, device);
      if (!options.skip_check && !of_family.points.empty()) {
        // All of them, whatever --only says of the points: the points rest on them.
        Options every = options;
        every.only.clear();
        of_family.cases = case_items(
            *family, options.extent == Extent::kNew ? Extent::kNew : Extent::kQuick, every, device);
      }
    }
    work.push_back(std::move(of_family));
  }

  std::vector<Task> tasks;
  const auto add = [&](const Family* family, const char* purpose, std::vector<Item> items) {
    if (!items.empty()) {
      tasks.push_back({family, purpose, std::move(items)});
    }
  };
  for (OfFamily& w : work) {
    // Cases go from the simplest to the whole, so the first of a gate is its smoke test.
    std::set<std::string> seen;
    add(w.family, "smoke",
        taken(w.cases, [&](const Item& item) { return seen.insert(item.gate).second; }));
  }
  for (OfFamily& w : work) {
    add(w.family, "ceilings",
        taken(w.points, [](const Item& item) { return item.point.turn == Turn::kCeiling; }));
  }
  for (OfFamily& w : work) {
    if (!options.smoke) {
      add(w.family, "checks", std::move(w.cases));
    }
    add(w.family, "targets",
        taken(w.points, [](const Item& item) { return item.point.turn == Turn::kTarget; }));
  }
  for (OfFamily& w : work) {
    add(w.family, "grid", std::move(w.points));
  }
  return tasks;
}

}  // namespace ridge::kernels::bench
