// Built without MPI.
#include "ridge/base/error.hpp"
#include "ridge/sweep/ranks.hpp"

#include <cstdlib>
#include <string>

namespace ridge::sweep {

std::unique_ptr<Ranks> Ranks::join() {
  // Each would answer the whole sweep, and all would write over each other's answer.
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* ranks = std::getenv(variable);
    if (ranks != nullptr && std::string(ranks) != "1") {
      throw UserError(
          "this ridge was built without MPI, and mpirun started several of it: build with "
          "-DRIDGE_MPI=ON, or answer shards (--shard I/N) and merge them");
    }
  }
  return nullptr;
}

}  // namespace ridge::sweep
