#include "run/cost_store.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "io/fingerprint.h"
#include "run/host_info.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
constexpr const char* kKeyName = "measured_on";

// Throws Error.
std::string read_small_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw Error(fmt::format("{}: a folder; expected a cost model's file", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (!file) throw Error(fmt::format("{}: cannot be read", path.string()));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    throw FormatError(fmt::format("{}: larger than {} bytes; expected a cost model", path.string(),
                                  kMaxFileBytes));
  }
  return text;
}

std::filesystem::path file_of(const Json& key, const std::filesystem::path& folder) {
  return folder / fmt::format("cost-{}.json", to_hex(fingerprint({0, 0}, key.dump())));
}

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

std::filesystem::path cache_folder() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const auto own = variable("PREFOLD_CACHE"); !own.empty()) return own;
  if (const auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "prefold";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "prefold";
  return {};
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
          {"tensors", "siphash128:" + to_hex(fingerprint({0, 0}, tensors))}};
}

std::optional<ChosenCosts> find_costs(const RunConfig& config, const Json& key,
                                      const std::filesystem::path& folder, const WarnFn& warn) {
  if (const std::string& path = config.options.cost_model; !path.empty()) {
    return ChosenCosts{parse_cost_model(read_small_file(path), path), CostSource::kFile, path};
  }
  if (config.backend != BackendKind::kCpu) return std::nullopt;
  std::error_code error;
  const std::filesystem::path path = file_of(key, folder);
  if (folder.empty() || !std::filesystem::exists(path, error)) return std::nullopt;
  try {
    const std::string text = read_small_file(path);
    const CostModel model = parse_cost_model(text, path.string());
    const Json root = Json::parse(text);
    const auto found = root.find(kKeyName);
    if (found == root.end() || *found != key) {
      throw FormatError(fmt::format("{}: \"{}\" names another machine or model; expected {}",
                                    path.string(), kKeyName, key.dump()));
    }
    return ChosenCosts{model, CostSource::kCache, path};
  } catch (const Error& unusable) {
    warn(fmt::format("warning: cached cost model left aside: {}", unusable.what()));
    return std::nullopt;
  }
}

ChosenCosts store_costs(const CostModel& model, const Json& key,
                        const std::filesystem::path& folder, const WarnFn& warn) {
  ChosenCosts costs{model, CostSource::kMeasured, {}};
  if (folder.empty()) return costs;
  const std::filesystem::path path = file_of(key, folder);
  const std::filesystem::path part = fmt::format("{}.{}", path.string(), getpid());
  Json json = to_json(model);
  json[kKeyName] = key;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::ofstream file(part, std::ios::binary);
  file << json.dump(2) << "\n";
  file.close();
  if (file) std::filesystem::rename(part, path, error);
  if (!file || error) {
    std::filesystem::remove(part, error);
    warn(
        fmt::format("warning: {}: the measured cost model cannot be kept there; the next run "
                    "measures again (set PREFOLD_CACHE to another folder)",
                    path.string()));
    return costs;
  }
  costs.path = path;
  return costs;
}

}  // namespace prefold
