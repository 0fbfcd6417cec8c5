#include "run/cost_store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "io/fingerprint.h"
#include "run/host_info.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKind = "cost";
constexpr const char* kWhat = "a cost model's file";

const char* name_of(CostSource source) {
  switch (source) {
    case CostSource::kFile:
      return "file";
    case CostSource::kCache:
      return "cache";
    case CostSource::kMeasured:
      return "measured";
    case CostSource::kBuiltIn:
      return "built-in";
  }
  return "";
}

}  // namespace

Json to_json(const ChosenCosts& costs) {
  Json json = {{"source", name_of(costs.source)}, {"path", nullptr}};
  if (!costs.path.empty()) json["path"] = costs.path.string();
  json.update(to_json(costs.model));
  return json;
}

Json cost_key(const ModelFile& model, const RunConfig& config) {
  std::string tensors;
  for (const StoredTensor& tensor : model.tensors) {
    tensors += fmt::format("{} {} {}\n", tensor.name, traits_of(tensor.type).name,
                           fmt::join(tensor.shape, " "));
  }
  const ModelConfig& shape = model.config;
  return {{"prefold", PREFOLD_VERSION},
          {"cpu", cpu_name()},
          {"cpu_isa", config.cpu_isa},
          {"threads", config.threads},
          {"precision", precision_name(config.precision)},
          {"kv_type", kv_type_name(config.kv_type)},
          {"n_layers", shape.n_layers},
          {"hidden_size", shape.hidden_size},
          {"n_heads", shape.n_heads},
          {"n_kv_heads", shape.n_kv_heads},
          {"head_dim", shape.head_dim},
          {"experts_used", shape.moe.n_used},
          {"tensors", "siphash128:" + to_hex(fingerprint({0, 0}, tensors))}};
}

std::optional<ChosenCosts> find_costs(const RunConfig& config, const Json& key,
                                      const std::filesystem::path& folder, const WarnFn& warn) {
  if (const std::string& path = config.options.cost_model; !path.empty()) {
    return ChosenCosts{parse_cost_model(read_small_file(path, kWhat), path), CostSource::kFile,
                       path};
  }
  if (config.backend != BackendKind::kCpu) return std::nullopt;
  std::error_code error;
  const std::filesystem::path path = kept_path(kKind, key, folder);
  if (folder.empty() || !std::filesystem::exists(path, error)) return std::nullopt;
  try {
    const std::string text = read_small_file(path, kWhat);
    const CostModel model = parse_cost_model(text, path.string());
    check_key(Json::parse(text), key, path);
    return ChosenCosts{model, CostSource::kCache, path};
  } catch (const Error& unusable) {
    warn(fmt::format("warning: cached cost model left aside: {}", unusable.what()));
    return std::nullopt;
  }
}

ChosenCosts store_costs(const CostModel& model, const Json& key,
                        const std::filesystem::path& folder, const WarnFn& warn) {
  return {model, CostSource::kMeasured,
          keep(kKind, "cost model", to_json(model), key, folder, warn)};
}

}  // namespace prefold
