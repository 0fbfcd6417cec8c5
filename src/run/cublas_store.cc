#include "run/cublas_store.h"

#ifdef PREFOLD_CUDA

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "base/check.h"
#include "base/error.h"
#include "cuda/cublas_api.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;
using cuda::CublasRows;

constexpr const char* kKind = "cublas";
constexpr const char* kSchema = "prefold-cublas/1";
constexpr const char* kWhat = "from how many rows cuBLAS is faster";
constexpr int kMaxDepth = 8;

const char* format_name(cuda::WeightFormat format) {
  switch (format) {
    case cuda::WeightFormat::kDense:
      return "dense";
    case cuda::WeightFormat::kW8:
      return "w8";
    case cuda::WeightFormat::kW4:
      return "w4";
  }
  CHECK(false);
}

const char* type_name(cuda::FloatType type) {
  switch (type) {
    case cuda::FloatType::kF16:
      return "f16";
    case cuda::FloatType::kBf16:
      return "bf16";
    case cuda::FloatType::kF32:
      return "f32";
  }
  CHECK(false);
}

Json shape_json(const cuda::DeviceMatrix& weight) {
  return {format_name(weight.format), weight.n_out, weight.n_in};
}

Json rows_json(int32_t n_rows) {
  return n_rows == CublasRows::kNever ? Json(nullptr) : Json(n_rows);
}

int32_t read_rows(const Json& root, const char* key, const std::filesystem::path& path) {
  const auto found = root.find(key);
  if (found != root.end() && found->is_null()) return CublasRows::kNever;
  if (found == root.end() || !found->is_number_integer() || *found < 1 || *found > (1 << 20)) {
    throw FormatError(
        fmt::format("{}: \"{}\" is missing or neither null nor an integer from 1 to "
                    "1048576",
                    path.string(), key));
  }
  return found->get<int32_t>();
}

Json parse(const std::string& text, const std::filesystem::path& path) {
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth <= kMaxDepth) return true;
    throw FormatError(fmt::format("{}: JSON nested deeper than {}", path.string(), kMaxDepth));
  };
  Json root = Json::parse(text, check_depth, /*allow_exceptions=*/false);
  if (!root.is_object() || root.value("schema", Json()) != kSchema) {
    throw FormatError(fmt::format("{}: no JSON object with the schema {}", path.string(), kSchema));
  }
  return root;
}

Json choice_json(const cuda::CublasChoice& choice) {
  return {{"dense", rows_json(choice.layers.dense)},
          {"w8", rows_json(choice.layers.w8)},
          {"w4", rows_json(choice.layers.w4)},
          {"output", rows_json(choice.output)}};
}

}  // namespace

Json cublas_key(const GpuInfo& gpu, cuda::FloatType type, int32_t max_rows, int32_t max_output_rows,
                const cuda::CudaWeights& weights) {
  std::set<std::tuple<cuda::WeightFormat, int32_t, int32_t>> seen;
  Json matrices = Json::array();
  for (const cuda::DeviceLinear* linear : cuda::linears_of(weights)) {
    const cuda::DeviceMatrix& weight = linear->weight;
    if (linear == &weights.output ||
        !seen.insert({weight.format, weight.n_out, weight.n_in}).second)
      continue;
    matrices.push_back(shape_json(weight));
  }
  matrices.push_back(shape_json(weights.output.weight));
  return {{"prefold", PREFOLD_VERSION},
          {"gpu", gpu.name},
          {"compute_capability", fmt::format("{}.{}", gpu.cc_major, gpu.cc_minor)},
          {"multiprocessors", gpu.sm_count},
          {"driver", gpu.driver_version},
          {"runtime", gpu.runtime_version},
          {"cublas", cuda::cublas_version()},
          {"type", type_name(type)},
          {"max_rows", max_rows},
          {"max_output_rows", max_output_rows},
          {"matrices", std::move(matrices)}};
}

std::optional<KeptCublasChoice> find_cublas_choice(const Json& key,
                                                   const std::filesystem::path& folder,
                                                   const WarnFn& warn) {
  std::error_code error;
  const std::filesystem::path path = kept_path(kKind, key, folder);
  if (folder.empty() || !std::filesystem::exists(path, error)) return std::nullopt;
  try {
    const Json root = parse(read_small_file(path, kWhat), path);
    check_key(root, key, path);
    const auto rows = [&](const char* name) { return read_rows(root, name, path); };
    return KeptCublasChoice{{{rows("dense"), rows("w8"), rows("w4")}, rows("output")}, true, path};
  } catch (const Error& unusable) {
    warn(fmt::format("warning: cached choice of cuBLAS left aside: {}", unusable.what()));
    return std::nullopt;
  }
}

KeptCublasChoice store_cublas_choice(const cuda::CublasChoice& choice, const Json& key,
                                     const std::filesystem::path& folder, const WarnFn& warn) {
  Json object = {{"schema", kSchema}};
  object.update(choice_json(choice));
  return {choice, false, keep(kKind, "choice of cuBLAS", std::move(object), key, folder, warn)};
}

Json to_json(const KeptCublasChoice& kept) {
  Json json = choice_json(kept.choice);
  json["source"] = kept.is_cached ? "cache" : "measured";
  json["path"] = kept.path.empty() ? Json(nullptr) : Json(kept.path.string());
  return json;
}

}  // namespace prefold

#endif
