// Built without MPI.
#include "ridge/base/error.hpp"
#include "ridge/base/ranks.hpp"

#include <cstdlib>
#include <string>

namespace ridge {

std::unique_ptr<Ranks> Ranks::join() {
  // Each would answer the whole question, and all would write over each other's answer.
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* ranks = std::getenv(variable);
    if (ranks != nullptr && std::string(ranks) != "1") {
      throw UserError(
          "this ridge was built without MPI, and mpirun started several of it: build with "
          "-DRIDGE_MPI=ON; a sweep may be answered in shards instead (--shard I/N), which ridge "
          "merge "
          "puts together");
    }
  }
  return nullptr;
}

}  // namespace ridge
