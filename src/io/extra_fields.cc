#include "io/extra_fields.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "io/misspelling.h"
#include "io/parameter_names.h"

namespace prefold {
namespace {

constexpr std::array<std::string_view, 4> kEnvelope = {"custom_id", "method", "url", "body"};
constexpr std::array<std::string_view, 3> kPrompts = {"prompt", "prompt_token_ids", "messages"};
constexpr uint8_t kAnyForm = 0xff;
constexpr size_t kMostJudged = 1024;

// Names of which misspellings are looked for: parameters with a meaning in one of the forms, and
// the unsupported ones, but only those of several words: a field "document" is no misspelt
// "documents".
std::vector<std::string_view> names_worth_meaning(uint8_t forms) {
  std::vector<std::string_view> names = parameters_that_matter(forms);
  for (const std::string_view name : unsupported_names()) {
    if (name.find('_') != std::string_view::npos) names.push_back(name);
  }
  if (forms == kAnyForm) names.insert(names.end(), kEnvelope.begin(), kEnvelope.end());
  return names;
}

std::string_view judge(std::string_view name, uint8_t forms) {
  const std::string_view meant = name_here(name);
  return meant.empty() ? misspelt_name(name, names_worth_meaning(forms)) : meant;
}

// The parameter meant by an unknown name, or "". Judging one takes thousands of operations, and
// the lines of a job have the same few.
std::string_view meant_parameter(std::string_view name, uint8_t forms) {
  thread_local std::unordered_map<std::string, std::string_view> judged;
  std::string key(name.substr(0, 64));
  key += static_cast<char>(forms);
  const auto found = judged.find(key);
  if (found != judged.end()) return found->second;
  const std::string_view meant = judge(name, forms);
  if (judged.size() < kMostJudged) judged.emplace(std::move(key), meant);
  return meant;
}

[[noreturn]] void refuse(const std::string& message) {
  throw RequestError("unsupported_parameter", message);
}

// An object with parameters in it, which would not be used.
void check_no_parameters_inside(const Field& field) {
  if (!field.value.is_object() || !may_hold_parameters(field.name)) return;
  for (const auto& [name, value] : field.value.get_ref<const Json::object_t&>()) {
    if (!is_parameter(name) && name_here(name).empty()) continue;
    refuse(
        fmt::format("unknown field {}: \"{}\" would have no effect in it; parameters stand "
                    "beside the prompt",
                    show_text(field.name), name));
  }
}

[[noreturn]] void refuse_misspelling(std::string_view name, std::string_view meant) {
  refuse(
      fmt::format("unknown field {}; did you mean \"{}\"? Data of that name belongs under "
                  "\"metadata\"",
                  show_text(name), meant));
}

}  // namespace

void check_extra_field(const Field& field, RequestForm form) {
  const std::string_view meant = meant_parameter(field.name, static_cast<uint8_t>(form));
  if (!meant.empty()) refuse_misspelling(field.name, meant);
  check_no_parameters_inside(field);
}

void check_field_beside_body(const Field& field) {
  if (is_parameter(field.name) && !is_without_effect(field.name)) {
    refuse(
        fmt::format("unknown field {}; parameters belong inside \"body\"", show_text(field.name)));
  }
  const std::string_view meant = meant_parameter(field.name, kAnyForm);
  if (!meant.empty()) refuse_misspelling(field.name, meant);
  check_no_parameters_inside(field);
}

void throw_unknown_in_body(std::string_view name, RequestForm form) {
  const std::string_view meant = meant_parameter(name, static_cast<uint8_t>(form));
  if (!meant.empty()) {
    refuse(fmt::format("unknown field {}; did you mean \"{}\"?", show_text(name), meant));
  }
  refuse(
      fmt::format("unknown field {} in \"body\"; data of your own belongs beside \"body\", or "
                  "under \"metadata\"",
                  show_text(name)));
}

std::string_view misspelt_prompt(std::string_view name) { return misspelt_name(name, kPrompts); }

void add_extra_fields(Json::object_t extra, Json& metadata) {
  if (extra.empty()) return;
  if (metadata.is_null()) metadata = Json::object();
  if (!metadata.is_object()) {
    throw_invalid_value(
        fmt::format("\"metadata\" is {}; expected an object, which the field {} can join",
                    show_value(metadata), show_text(extra.front().first)));
  }
  auto& members = metadata.get_ref<Json::object_t&>();
  std::vector<std::string_view> names;
  names.reserve(members.size() + extra.size());
  for (const auto& member : members) names.push_back(member.first);
  for (const auto& member : extra) names.push_back(member.first);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    throw_invalid_value(
        fmt::format("{} stands both in \"metadata\" and beside it; the result has "
                    "one place for them",
                    show_text(*twice)));
  }
  members.reserve(names.size());
  for (auto& [name, value] : extra) members.emplace_back(name, std::move(value));
}

}  // namespace prefold
