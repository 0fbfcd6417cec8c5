#include "model/gguf_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "model/gguf_metadata.h"

namespace prefold {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr size_t kNumberDigits = 5;
constexpr int64_t kMaxFiles = 65535;

// "NAME-00002-of-00005.gguf" of part 2.
struct SplitName {
  std::string stem;
  int64_t count = 0;
  std::string of_part(int64_t number) const {
    return fmt::format("{}-{:05}-of-{:05}{}", stem, number, count, kSuffix);
  }
};

std::optional<int64_t> number_at(std::string_view text, size_t at) {
  int64_t number = 0;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, begin + kNumberDigits, number);
  if (error != std::errc() || end != begin + kNumberDigits) return std::nullopt;
  return number;
}

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kOf = "-of-";
  constexpr size_t kTail = 1 + kNumberDigits + kOf.size() + kNumberDigits + kSuffix.size();
  if (path.size() <= kTail || !path.ends_with(kSuffix)) return std::nullopt;
  const size_t at = path.size() - kTail;
  if (path[at] != '-' || path.compare(at + 1 + kNumberDigits, kOf.size(), kOf) != 0) {
    return std::nullopt;
  }
  const auto number = number_at(path, at + 1);
  const auto count = number_at(path, at + 1 + kNumberDigits + kOf.size());
  if (!number || !count || *number < 1 || *number > *count) return std::nullopt;
  return SplitName{path.substr(0, at), *count};
}

void check_split_key(const GgufMetadata& metadata, std::string_view key, int64_t wanted) {
  const auto value = find_int(metadata, key, 0, INT32_MAX);
  if (value == wanted) return;
  throw FormatError(fmt::format("{}: \"{}\" is {}; wanted {}", metadata.path, key,
                                value ? std::to_string(*value) : "missing", wanted));
}

std::vector<MappedFile> open_parts(const SplitName& name) {
  std::string missing;
  for (int64_t number = 1; number <= name.count; ++number) {
    std::error_code error;
    if (std::filesystem::exists(name.of_part(number), error)) continue;
    if (missing.size() < 500) {
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", name.of_part(number));
    }
  }
  if (!missing.empty()) {
    throw Error(fmt::format("{}: these of the {} files of this model are missing: {}",
                            name.of_part(1), name.count, missing));
  }
  std::vector<MappedFile> files;
  for (int64_t number = 1; number <= name.count; ++number) {
    files.emplace_back(name.of_part(number));
  }
  return files;
}

void add_tensors(GgufFiles& model, std::vector<StoredTensor> tensors, size_t file) {
  for (StoredTensor& tensor : tensors) tensor.file = static_cast<int32_t>(file);
  model.tensors.insert(model.tensors.end(), std::make_move_iterator(tensors.begin()),
                       std::make_move_iterator(tensors.end()));
}

}  // namespace

GgufFiles open_gguf_files(MappedFile file) {
  Gguf first = parse_gguf(file.path(), file.bytes());
  const auto count = find_int({file.path(), &first.metadata}, "split.count", 0, kMaxFiles);
  GgufFiles model;
  if (!count || *count <= 1) {
    model.files.push_back(std::move(file));
    model.version = first.version;
    model.metadata = std::move(first.metadata);
    model.tensors = std::move(first.tensors);
    return model;
  }
  const auto name = parse_split_name(file.path());
  if (!name || name->count != *count) {
    throw FormatError(
        fmt::format("{}: is one of {} files (\"split.count\") that are named "
                    "NAME-00001-of-{:05}.gguf; this one is not",
                    file.path(), *count, *count));
  }
  model.files = open_parts(*name);
  std::optional<int64_t> n_tensors;
  for (size_t i = 0; i < model.files.size(); ++i) {
    Gguf part = parse_gguf(model.files[i].path(), model.files[i].bytes());
    const GgufMetadata metadata{model.files[i].path(), &part.metadata};
    check_split_key(metadata, "split.no", static_cast<int64_t>(i));
    check_split_key(metadata, "split.count", *count);
    if (!n_tensors) n_tensors = find_int(metadata, "split.tensors.count", 0, INT32_MAX);
    add_tensors(model, std::move(part.tensors), i);
    if (i > 0) continue;
    model.version = part.version;
    model.metadata = std::move(part.metadata);
  }
  if (n_tensors && *n_tensors != static_cast<int64_t>(model.tensors.size())) {
    throw FormatError(fmt::format("{}: \"split.tensors.count\" is {}; the {} files have {} tensors",
                                  name->of_part(1), *n_tensors, *count, model.tensors.size()));
  }
  std::set<std::string_view> names;
  for (const StoredTensor& tensor : model.tensors) {
    if (names.insert(tensor.name).second) continue;
    throw FormatError(fmt::format("{}: tensor \"{}\" is in another of the model's files too",
                                  model.files[static_cast<size_t>(tensor.file)].path(),
                                  printable(tensor.name)));
  }
  return model;
}

}  // namespace prefold
