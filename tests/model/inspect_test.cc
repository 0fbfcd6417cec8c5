#include "model/inspect.h"

#include <doctest/doctest.h>

#include "gguf_builder.h"
#include "temp_file.h"

namespace prefold {
namespace {

TEST_CASE("the inspection of a model shows what it holds and needs") {
  CHECK(render_inspection(open_model("tests/data/gguf/tiny.gguf")) ==
        R"(file          tests/data/gguf/tiny.gguf
format        GGUF v3
architecture  llama
name          Tiny
parameters    20640
layers        2
heads         4 (2 KV) of 8 elements
hidden size   32
FFN size      64
vocabulary    64, output tied to the embedding
context       128 tokens
RoPE          theta 10000, 8 of each head's elements, neighbouring pairs
tensors       2 BF16 (8.0 KiB), 3 Q8_0 (6.4 KiB), 2 F16 (6.0 KiB), 2 Q4_0 (1.7 KiB), 2 Q5_1 (1.1 KiB), 2 Q4_1 (960 B), 2 Q5_0 (704 B), 5 F32 (640 B)
tokenizer     byte-level BPE, pre-tokenizer "gpt-2", 2 merges
special       BOS 0 <|endoftext|>, EOS 1 <|im_end|>, EOT 1 <|im_end|>; adds BOS: no, EOS: no
chat template 53 bytes: {% for m in messages %}{{ m['content'] }}{% endfor %}
weights       25.4 KiB
KV cache      256 B a token (f32)
memory        57.4 KiB for the weights and one full context
)");
}

TEST_CASE("the summary counts bytes by type, KV and the whole") {
  const TempFile file(tiny_llama().build());
  const ModelSummary summary = summarise(open_model(file.path()));
  REQUIRE(summary.types.size() == 8);
  CHECK(summary.types[0].type == TensorType::kF32);
  CHECK(summary.types[0].n_tensors == 4);
  CHECK(summary.types[0].n_bytes == 4 * (3 * 32 + 64 * 32));
  CHECK(summary.kv_bytes_per_token == 1 * 2 * 2 * 8 * 4);
  CHECK(summary.full_context_bytes ==
        static_cast<int64_t>(summary.weight_bytes) + 64 * summary.kv_bytes_per_token);
}

TEST_CASE("hostile text in a model does not reach the terminal") {
  GgufBuilder b = tiny_llama();
  b.set_string("general.name", "\x1b]0;owned\x07");
  b.set_string("tokenizer.chat_template", std::string(1000, '\n'));
  b.set_string("tokenizer.chat_template.\x1b", "x");
  const TempFile file(b.build());
  const std::string text = render_inspection(open_model(file.path()));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("name          ?]0;owned?\n") != std::string::npos);
  CHECK(text.find("chat template 1000 bytes: ????") != std::string::npos);
  CHECK(text.find("; \"?\": 1 bytes: x\n") != std::string::npos);
}

}  // namespace
}  // namespace prefold
