// GGUF files: opened, described, their tokenizer made and used, their weights packed.
#include "base/error.h"
#include "fuzz/fuzz_target.h"
#include "fuzz/memory_file.h"
#include "model/inspect.h"
#include "model/model_file.h"
#include "model/rope.h"
#include "tokenizer/chat_templates.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace prefold;

void use_tokenizer(const ModelFile& model) {
  const Tokenizer tokenizer(model.tokenizer);
  const std::vector<int32_t> ids = tokenizer.encode("<s> abc  d\n\u00e9\U0001f600 12", true, true);
  for (const int32_t id : ids) CHECK(id >= 0 && id < tokenizer.vocab_size());
  CHECK(tokenizer.decode(ids, false).size() < (size_t{1} << 20));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n_bytes) {
  if (n_bytes == 0) return 0;
  const MemoryFile file(data, n_bytes);
  static ThreadPool pool(1);
  try {
    const ModelFile model = open_model(file.path());
    CHECK(!render_inspection(model).empty());
    make_rope_tables(model.config, 4, 4);
    load_weights(model, pool);
    const ChatTemplates templates(model.chat_format.templates);
    use_tokenizer(model);
  } catch (const Error&) {
  }
  return 0;
}
