// What one run measures and later ones need again: JSON objects in the cache's folder, each found
// by a key, an object of all that the measurement depends on.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace prefold {

// $PREFOLD_CACHE, else $XDG_CACHE_HOME/prefold, else ~/.cache/prefold; empty without any of them.
std::filesystem::path cache_folder();

// Says in one line why the cache could not be used; nothing fails for want of it.
using WarnFn = std::function<void(const std::string& line)>;

// Where a measurement of this kind and key is: "<kind>-<fingerprint of the key>.json".
std::filesystem::path kept_path(const std::string& kind, const nlohmann::ordered_json& key,
                                const std::filesystem::path& folder);

// The text of a file of at most 1 MiB. Throws Error if it cannot be read, FormatError if it is
// longer; `what` it should be is named then.
std::string read_small_file(const std::filesystem::path& path, const char* what);

// Throws FormatError if the object, of the file at `path`, does not say that it was measured on
// `key`.
void check_key(const nlohmann::ordered_json& object, const nlohmann::ordered_json& key,
               const std::filesystem::path& path);

// Writes the object, with its key: whole or not at all. Where it is then; empty if it could not be
// written, which is warned of with the measurement's name, or if the folder is empty.
std::filesystem::path keep(const std::string& kind, const char* name, nlohmann::ordered_json object,
                           const nlohmann::ordered_json& key, const std::filesystem::path& folder,
                           const WarnFn& warn);

}  // namespace prefold
