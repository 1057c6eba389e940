// A ledger as its file says it: measured figures, and what each asks Ridge.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/evidence/serving.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/models/operator.hpp"
#include "ridge/models/precision.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace ridge {
class KeyTable;
}

namespace ridge::evidence {

// Any value.
struct ChangedValue {
  nlohmann::json json;
};

// A figure of a deployment.
struct DeploymentFigure {
  std::string scenario;                         // a name or path, from the ledger's folder
  std::map<std::string, ChangedValue> changes;  // of what stands in it, by pointer
  // Of what it leaves open: what the prediction takes of what intervals draw.
  std::map<std::string, ChangedValue> taken;
  std::string quantity;  // of answer::simulation_figures()
};

// How many times the tokens a second and GPU of another deployment one delivers.
struct ComparisonFigure {
  std::string scenario;                         // as of DeploymentFigure
  std::map<std::string, ChangedValue> changes;  // likewise
  std::map<std::string, ChangedValue> taken;    // likewise
  std::string beside;                           // the other's
  std::map<std::string, ChangedValue> beside_changes;
  std::map<std::string, ChangedValue> beside_taken;
};

// Whose kernels are asked, of all figures in microseconds.
struct AskedKernels {
  std::string chip;          // a name or path
  std::string kernel_model;  // "theoretical", "calibrated:NAME"
  std::vector<std::string> prefer;
};

// One attention layer with the projections before and after it.
struct LayerFigure {
  AskedKernels kernels;
  std::string model;
  models::DecodeShape shape;
  models::AttentionShard shard;
  models::Precision precision = models::Precision::bf16;
  bool filled_tiles = false;
};

// One launch of an attention kernel.
struct AttentionFigure {
  AskedKernels kernels;
  models::DecodeAttention shape;
};

// One dense product.
struct GemmFigure {
  AskedKernels kernels;
  models::Gemm shape;
};

// A product for each expert in one launch, all experts with as many rows.
struct GroupedGemmFigure {
  AskedKernels kernels;
  std::int64_t experts = 0;
  double rows_per_expert = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  models::Precision precision = models::Precision::bf16;
};

// Tokens on their way to the experts of other GPUs, or back.
struct ExchangeFigure {
  AskedKernels kernels;
  std::int64_t gpus = 0;
  std::int64_t tokens_per_gpu = 0;
  std::int64_t top_k = 0;
  std::int64_t experts = 0;
  double bytes_per_copy = 0;
  bool returning = false;
};

struct MessageFigure {
  std::int64_t bytes = 0;
  BytesPerSecond bandwidth;
  Seconds overhead;
};

struct LedgerEntry {
  std::string figure;
  double measured = 0;
  std::string source;
  std::string explanation;
  std::variant<DeploymentFigure, ComparisonFigure, LayerFigure, AttentionFigure, GemmFigure,
               GroupedGemmFigure, ExchangeFigure, MessageFigure>
      asks;
};

struct LedgerEntries {
  std::vector<LedgerEntry> entries;
};
struct LedgerServing {
  ServingTerms serving;
};

struct LedgerFile {
  std::string title;
  std::string comment;
  std::vector<LedgerNote> notes;
  std::variant<LedgerEntries, LedgerServing> figures;
};
[[nodiscard]] const KeyTable& keys_of(const LedgerFile*);

}  // namespace ridge::evidence
