// What is made of the options where there is a GPU, and what it refuses.
#include "base/error.h"
#include "cuda/cuda_engine.h"
#include "gpu_e2e/gpu_job.h"
#include "model/model_file.h"

using namespace prefold;

namespace {

std::string refusal(const RunOptions& options) {
  try {
    resolve(options, open_model(options.model));
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("GPU: auto takes it, with f16 and steps of 2048 tokens [smoke]") {
  cuda::gpu();
  RunOptions options;
  options.model = kTinyBpe;
  const RunConfig config = resolve(options, open_model(kTinyBpe));
  CHECK(config.backend == BackendKind::kCuda);
  REQUIRE(config.gpu.has_value());
  CHECK(config.gpu->name == cuda::gpu().name);
  CHECK(config.precision == Precision::kFast);
  CHECK(config.kv_type == KvType::kF16);
  CHECK(config.token_budget == kGpuTokenBudget);
  CHECK_FALSE(is_deterministic(config));
  const int64_t n_left =
      config.gpu->free_bytes - config.gpu_memory.weights - config.gpu_memory.work;
  CHECK(config.n_kv_blocks * config.kv_bytes_per_block <= n_left * 0.9);
  options.device = DeviceChoice::kCpu;
  CHECK(resolve(options, open_model(kTinyBpe)).backend == BackendKind::kCpu);
}

TEST_CASE("GPU: types that it does not store, and memory that it does not have, are refused") {
  RunOptions options = gpu_options(kTinyBpe);
  options.kv_type = KvType::kInt8;
  CHECK(refusal(options) ==
        "--kv-type is int8; with --precision fast on a GPU it can be f16 or bf16 (--device cpu has "
        "others)");
  options.precision = Precision::kExact;
  options.kv_type = KvType::kF16;
  CHECK(refusal(options) ==
        "--kv-type is f16; with --precision exact on a GPU it can be f32 (--device cpu has "
        "others)");
  options = gpu_options(kTinyBpe);
  options.cpu_isa = "scalar";
  CHECK(refusal(options).find("--cpu-isa is scalar") == 0);
  options = gpu_options(kTinyBpe);
  options.kv_memory_bytes = int64_t{1} << 50;
  CHECK(refusal(options).find("of free memory; the weights take") != std::string::npos);
}

TEST_CASE("GPU: heads that attention has no kernel for are refused") {
  ModelConfig model = open_model(kTinyBpe).config;
  cuda::check_model(model);
  model.head_dim = 72;
  CHECK_THROWS_WITH_AS(cuda::check_model(model),
                       "--device cuda: this model's heads have 72 elements; expected one of 16, "
                       "32, 48, 64, 80, 96, 112, 128, 256",
                       Error);
  model.head_dim = 64;
  model.n_heads = 34;
  model.n_kv_heads = 2;
  CHECK_THROWS_AS(cuda::check_model(model), Error);
}
