#include "maker.hpp"

#include "ridge_commit.hpp"

namespace ridge::tools {

std::string maker() {
  return "Ridge " RIDGE_VERSION ", commit " RIDGE_COMMIT;
}

std::string commit() {
  return RIDGE_COMMIT;
}

}  // namespace ridge::tools
