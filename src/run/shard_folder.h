// The files of a divided job: one of lines for each shard, and the manifest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "run/shard_manifest.h"

namespace prefold {

// A folder that nobody else divides a job into as long as this lives. Made if it is not there.
class ShardFolder {
 public:
  // Throws Error: it cannot be made or opened, or another process has it.
  explicit ShardFolder(std::string path);
  ~ShardFolder();
  ShardFolder(const ShardFolder&) = delete;
  ShardFolder& operator=(const ShardFolder&) = delete;

  // Whether this very split is there, whole: of the same inputs, model, options and number of
  // shards. Throws Error if another one is (each difference is named), if a file of it is missing
  // or has another size, or if there are results and no manifest. Else the folder is free: empty,
  // or with what a split that was killed has left.
  bool holds(const ShardManifest& wanted) const;

  // Reads the inputs once more and writes the shards' lines, then the manifest, with the shards'
  // digests filled in. repeats_id: the lines whose id stands on an earlier line, in ascending
  // order. Throws Error, also if the inputs are no longer what the manifest says.
  void write(const std::vector<int32_t>& shard_of_line, const std::vector<int64_t>& repeats_id,
             ShardManifest manifest) const;

 private:
  std::string path_;
  int fd_ = -1;
};

// The inputs of a split, with their digests. Throws Error for what cannot be divided: standard
// input and pipes, which can be read only once; a file that is given twice, whose lines would have
// the same names; a name that is not UTF-8.
std::vector<ShardInput> shard_inputs(const std::vector<std::string>& paths);

}  // namespace prefold
