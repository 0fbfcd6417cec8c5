#include "io/source_marker.h"

#include <cstdint>
#include <nlohmann/json.hpp>

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBegin = "{\"prefold_source\":";
constexpr size_t kMaxMarkerBytes = 16384;
constexpr size_t kMaxFileBytes = 4096;  // PATH_MAX; it becomes part of ids
constexpr int64_t kMaxLine = int64_t{1} << 53;

// A member that may be missing, and is true if it is not.
bool has_flag(const Json& object, const char* name, size_t& n_known) {
  const auto found = object.find(name);
  if (found == object.end() || *found != true) return false;
  ++n_known;
  return true;
}

}  // namespace

std::string format_source_marker(const SourceMarker& marker) {
  Json source = {{"file", marker.source.file}, {"line", marker.source.line}};
  if (marker.source.repeats_id) source["repeats_id"] = true;
  if (marker.too_long) source["too_long"] = true;
  return Json{{"prefold_source", std::move(source)}}.dump();
}

std::optional<SourceMarker> read_source_marker(std::string_view line) {
  if (!line.starts_with(kBegin) || line.size() > kMaxMarkerBytes) return std::nullopt;
  const Json document = Json::parse(line, nullptr, false);
  if (!document.is_object() || document.size() != 1) return std::nullopt;
  const Json& source = document.begin().value();
  if (!source.is_object()) return std::nullopt;
  const auto file = source.find("file");
  const auto number = source.find("line");
  if (file == source.end() || !file->is_string() || number == source.end() ||
      !number->is_number_integer()) {
    return std::nullopt;
  }
  SourceMarker marker;
  marker.source.file = file->get<std::string>();
  if (marker.source.file.empty() || marker.source.file.size() > kMaxFileBytes) return std::nullopt;
  if (*number < 1 || *number > kMaxLine) return std::nullopt;
  marker.source.line = number->get<int64_t>();
  size_t n_known = 2;
  marker.source.repeats_id = has_flag(source, "repeats_id", n_known);
  marker.too_long = has_flag(source, "too_long", n_known);
  if (source.size() != n_known) return std::nullopt;
  return marker;
}

}  // namespace prefold
