#include "run/kept_json.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "io/fingerprint.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
constexpr const char* kKeyName = "measured_on";

}  // namespace

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

std::filesystem::path kept_path(const std::string& kind, const Json& key,
                                const std::filesystem::path& folder) {
  return folder / fmt::format("{}-{}.json", kind, to_hex(fingerprint({0, 0}, key.dump())));
}

std::string read_small_file(const std::filesystem::path& path, const char* what) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw Error(fmt::format("{}: a folder; expected {}", path.string(), what));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (!file) throw Error(fmt::format("{}: cannot be read", path.string()));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    throw FormatError(
        fmt::format("{}: larger than {} bytes; expected {}", path.string(), kMaxFileBytes, what));
  }
  return text;
}

void check_key(const Json& object, const Json& key, const std::filesystem::path& path) {
  const auto found = object.find(kKeyName);
  if (found != object.end() && *found == key) return;
  throw FormatError(fmt::format("{}: \"{}\" names another machine or model; expected {}",
                                path.string(), kKeyName, key.dump()));
}

std::filesystem::path keep(const std::string& kind, const char* name, Json object, const Json& key,
                           const std::filesystem::path& folder, const WarnFn& warn) {
  if (folder.empty()) return {};
  const std::filesystem::path path = kept_path(kind, key, folder);
  const std::filesystem::path part = fmt::format("{}.{}", path.string(), getpid());
  object[kKeyName] = key;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::ofstream file(part, std::ios::binary);
  file << object.dump(2) << "\n";
  file.close();
  if (file) std::filesystem::rename(part, path, error);
  if (file && !error) return path;
  std::filesystem::remove(part, error);
  warn(
      fmt::format("warning: {}: the measured {} cannot be kept there; the next run measures again "
                  "(set PREFOLD_CACHE to another folder)",
                  path.string(), name));
  return {};
}

}  // namespace prefold
