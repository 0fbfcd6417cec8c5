#include "model/gguf_files.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "base/error.h"
#include "gguf_builder.h"
#include "model/model_file.h"
#include "temp_folder.h"

namespace prefold {
namespace {

// tiny_llama with its tensors in three files; `change` may spoil one of them.
struct SplitModel {
  SplitModel() {
    parts.resize(3);
    parts[0] = tiny_llama();
    for (int i = 0; i < 3; ++i) {
      parts[i].set("split.no", GgufType::kUint16, bytes_of_value<uint16_t>(i));
      parts[i].set("split.count", GgufType::kUint16, bytes_of_value<uint16_t>(3));
      parts[i].set("split.tensors.count", GgufType::kInt32, bytes_of_value<int32_t>(11));
    }
    move_tensor("blk.0.attn_norm.weight", {32}, TensorType::kF32, 1);
    move_tensor("blk.0.attn_q.weight", {32, 32}, TensorType::kQ4_0, 1);
    move_tensor("output_norm.weight", {32}, TensorType::kF32, 2);
  }
  void move_tensor(const std::string& name, const std::vector<uint64_t>& shape, TensorType type,
                   size_t to) {
    const std::string bytes = parts[0].tensor(name).bytes;
    parts[0].remove_tensor(name);
    parts[to].add_tensor(name, shape, type).bytes = bytes;
  }
  std::string path(const TempFolder& folder, int part) const {
    return folder.path() + "/m-0000" + std::to_string(part) + "-of-00003.gguf";
  }
  void write(const TempFolder& folder) const {
    for (int i = 0; i < 3; ++i) {
      folder.write("m-0000" + std::to_string(i + 1) + "-of-00003.gguf", parts[i].build());
    }
  }
  std::vector<GgufBuilder> parts;
};

TEST_CASE("any file of a split model opens all of it, the same as in one file") {
  const TempFolder folder;
  const SplitModel split;
  split.write(folder);
  folder.write("whole.gguf", tiny_llama().build());
  ThreadPool pool(1);
  const Weights whole = load_weights(open_model(folder.path() + "/whole.gguf"), pool);
  for (int part = 1; part <= 3; ++part) {
    const ModelFile model = open_model(split.path(folder, part));
    CHECK(model.format == "GGUF v3, 3 files");
    CHECK(model.files.size() == 3);
    CHECK(model.tokenizer.tokens.size() == 8);
    const Weights weights = load_weights(model, pool);
    CHECK(weights.bytes() == whole.bytes());
    CHECK(weights.final_norm.weight == whole.final_norm.weight);
    const PackedMatrix& q = weights.layers[0].q.weight;
    REQUIRE(q.bytes() == whole.layers[0].q.weight.bytes());
    CHECK(std::memcmp(q.data(), whole.layers[0].q.weight.data(), q.bytes()) == 0);
  }
}

std::string message_of(const SplitModel& split, const std::string& missing = "",
                       const std::string& renamed = "") {
  const TempFolder folder;
  split.write(folder);
  if (!missing.empty()) std::filesystem::remove(folder.path() + "/" + missing);
  std::string path = split.path(folder, 1);
  if (!renamed.empty()) {
    std::filesystem::rename(path, folder.path() + "/" + renamed);
    path = folder.path() + "/" + renamed;
  }
  try {
    open_model(path);
  } catch (const Error& error) {
    std::string message = error.what();
    for (size_t at; (at = message.find(folder.path() + "/")) != std::string::npos;) {
      message.erase(at, folder.path().size() + 1);
    }
    return message;
  }
  return "no error";
}

TEST_CASE("files that are missing or not of one model are refused") {
  CHECK(message_of({}, "m-00002-of-00003.gguf") ==
        "m-00001-of-00003.gguf: these of the 3 files of this model are missing: "
        "m-00002-of-00003.gguf");
  CHECK(message_of({}, "", "other.gguf") ==
        "other.gguf: is one of 3 files (\"split.count\") that are named NAME-00001-of-00003.gguf; "
        "this one is not");
  SplitModel split;
  split.parts[1].set_u32("split.no", 2);
  CHECK(message_of(split) == "m-00002-of-00003.gguf: \"split.no\" is 2; wanted 1");
  split = {};
  split.parts[2].remove("split.count");
  CHECK(message_of(split) == "m-00003-of-00003.gguf: \"split.count\" is missing; wanted 3");
  split = {};
  split.parts[2].remove_tensor("output_norm.weight");
  CHECK(message_of(split) ==
        "m-00001-of-00003.gguf: \"split.tensors.count\" is 11; the 3 files have 10 tensors");
  split = {};
  split.parts[2].remove_tensor("output_norm.weight");
  split.parts[2].add_tensor("blk.0.attn_norm.weight", {32}, TensorType::kF32);
  CHECK(message_of(split) ==
        "m-00003-of-00003.gguf: tensor \"blk.0.attn_norm.weight\" is in another of the model's "
        "files too");
}

}  // namespace
}  // namespace prefold
