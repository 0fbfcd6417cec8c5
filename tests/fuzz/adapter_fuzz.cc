// Adapters of a small model. A GGUF adapter, told by its magic; else a PEFT folder:
// adapter_config.json up to the first zero byte, then adapter_model.safetensors. What opens is
// read, matrix by matrix, and packed.
#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/memory_file.h"
#include "model/gguf.h"
#include "model/load_adapters.h"
#include "model/lora_gguf.h"
#include "model/lora_peft.h"
#include "model/model_file.h"

namespace {

using namespace prefold;

// Two layers, 4 heads over 2 KV heads, with biases: all that adapters of dense models change.
ModelFile& model() {
  static ModelFile llama = open_model("tests/data/models/llama3");
  return llama;
}

LoraFile open(const uint8_t* data, size_t n_bytes) {
  if (is_gguf(std::as_bytes(std::span(data, n_bytes)))) {
    const MemoryFile file(data, n_bytes);
    return open_gguf_lora(MappedFile(file.path()), model());
  }
  const uint8_t* const end = data + n_bytes;
  const uint8_t* const zero = std::find(data, end, uint8_t{0});
  const size_t n_config = static_cast<size_t>(zero - data);
  if (zero == end || zero + 1 == end) throw Error("no tensors");
  const MemoryFile file(zero + 1, n_bytes - n_config - 1);
  const PeftLoraConfig config =
      parse_peft_lora_config("adapter_config.json", text_of(data, n_config));
  return read_peft_lora("adapter", config, MappedFile(file.path()), model());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  static ThreadPool pool(1);
  if (n_bytes == 0) return 0;
  try {
    const LoraFile adapter = open(data, n_bytes);
    CHECK(!adapter.matrices.empty());
    for (const LoraMatrix& matrix : adapter.matrices) {
      const LoraShape shape = lora_shape(model().config, matrix.layer, matrix.site);
      const LoraValues values = read_lora(adapter, matrix, model().config, pool);
      CHECK(values.a.size() == static_cast<size_t>(matrix.rank) * static_cast<size_t>(shape.n_in));
      CHECK(values.b.size() == static_cast<size_t>(matrix.rank) * static_cast<size_t>(shape.n_out));
    }
  } catch (const Error&) {
  }
  return 0;
}
