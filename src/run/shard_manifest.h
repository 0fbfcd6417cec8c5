// What a folder of shards holds (docs/formats.md): what was divided, into what, and what each part
// is predicted to take. Written when everything else is there, so that a folder without one is
// what a split that was killed has left.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/file_digest.h"

namespace prefold {

inline constexpr const char* kShardsSchema = "prefold-shards/1";

struct ShardInput {
  std::string path;  // as given
  FileDigest digest;
};

struct ShardEntry {
  int64_t n_lines = 0;      // bad ones too
  int64_t n_bad_lines = 0;  // that no answer is expected for
  FileDigest digest;        // of its file
  int64_t n_prompt_tokens = 0;
  int64_t n_prefill_tokens = 0;  // to compute
  int64_t n_again = 0;           // of those: earlier shards compute them too
  int64_t n_output_tokens = 0;   // as predicted
  double time_s = 0;             // as predicted
};

struct ShardManifest {
  std::vector<ShardInput> inputs;
  std::string model_digest;
  nlohmann::ordered_json options;  // as typed, those that decide which lines go where
  bool time_is_known = false;      // else time_s are relative
  double bound_s = 0;              // no division of the job has a shortest time below this
  std::vector<ShardEntry> shards;
};

// The names in a folder; shards are numbered from 0.
std::string manifest_path(const std::string& folder);
std::string shard_order_path(const std::string& folder);
std::string shard_path(const std::string& folder, int32_t shard);
std::string shard_results_path(const std::string& folder, int32_t shard);
std::string shard_report_path(const std::string& folder, int32_t shard);

// None: there is no such file. Throws FormatError naming the file, the key and its value.
std::optional<ShardManifest> read_manifest(const std::string& folder);

// Whole or not at all. Throws Error naming the file.
void write_manifest(const std::string& folder, const ShardManifest& manifest);

// The shard of each line of the inputs, blank ones not counted: 4 bytes a line, little-endian.
// Throws Error naming the file; when read, also if it does not fit the manifest.
void write_shard_order(const std::string& folder, const std::vector<int32_t>& shard_of_line);
std::vector<int32_t> read_shard_order(const std::string& folder, const ShardManifest& manifest);

}  // namespace prefold
