// A Hugging Face model: config.json up to the first zero byte, then model.safetensors. What opens
// is read, tensor by tensor.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/memory_file.h"
#include "model/hf_config.h"
#include "model/hf_quantization.h"
#include "model/hf_tensors.h"
#include "model/model_file.h"
#include "model/model_tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  using namespace prefold;
  const uint8_t* const end = data + n_bytes;
  const uint8_t* const zero = std::find(data, end, uint8_t{0});
  if (zero == end || zero + 1 == end) return 0;
  const MemoryFile file(zero + 1, static_cast<size_t>(end - zero - 1));
  try {
    const auto root =
        parse_json_object("config.json", text_of(data, static_cast<size_t>(zero - data)));
    const HfModel hf = read_hf_config("config.json", root);
    const HfQuantization quantization = read_hf_quantization(JsonObject("config.json", "", root));
    ModelFile model;
    model.files.emplace_back(file.path());
    const std::vector<HfFile> files = {
        {&model.files[0], parse_safetensors(file.path(), model.files[0].bytes())}};
    model.tensors = read_hf_tensors(file.path(), hf, quantization, files);
    check_model_tensors(file.path(), hf.config, model.tensors);
    for (const StoredTensor& tensor : model.tensors) {
      CHECK(read_tensor(model, tensor).bytes.size() == packed_bytes(tensor));
    }
  } catch (const Error&) {
  }
  return 0;
}
