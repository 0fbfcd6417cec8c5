#include "io/json_line.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/utf8.h"

namespace prefold {
namespace {

constexpr size_t kShownTextBytes = 60;
constexpr size_t kShownReasonBytes = 160;

[[noreturn]] void invalid_json(const std::string& message) {
  throw RequestError("invalid_json", message);
}

// Builds the document from the parser's events. An object is filled only once all its keys are
// known: ordered_json looks for a key by walking over all the others, so inserting key by key would
// take quadratic time, and would drop duplicates silently.
class DocumentBuilder {
 public:
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // JSON text has none

  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(std::string& name) {
    open_.back().members.emplace_back(std::move(name), nullptr);
    return true;
  }

  bool end_object() {
    std::vector<Member> members = std::move(open_.back().members);
    open_.pop_back();
    check_unique(members);
    Json::object_t object;
    object.reserve(members.size());
    for (Member& member : members) {
      object.emplace_back(std::move(member.first), std::move(member.second));
    }
    return add(std::move(object));
  }

  bool end_array() {
    Json::array_t elements = std::move(open_.back().elements);
    open_.pop_back();
    return add(std::move(elements));
  }

  bool parse_error(size_t position, const std::string&, const std::exception& error) {
    invalid_json(fmt::format("invalid JSON at byte {}: {}", position, reason(error.what())));
  }

  Json take() { return std::move(document_); }

 private:
  using Member = std::pair<std::string, Json>;
  struct OpenValue {
    bool is_object;
    std::vector<Member> members;
    Json::array_t elements;
  };

  template <typename Value>
  bool add(Value&& value) {
    if (++n_values_ > kMaxJsonValues) {
      invalid_json(fmt::format("more than {} JSON values in one line", kMaxJsonValues));
    }
    if (open_.empty()) {
      document_ = std::forward<Value>(value);
    } else if (open_.back().is_object) {
      open_.back().members.back().second = std::forward<Value>(value);
    } else {
      open_.back().elements.emplace_back(std::forward<Value>(value));
    }
    return true;
  }

  bool open(bool is_object) {
    if (open_.size() == kMaxJsonDepth) {
      invalid_json(fmt::format("JSON nested deeper than {} levels", kMaxJsonDepth));
    }
    open_.push_back({is_object, {}, {}});
    return true;
  }

  static void check_unique(const std::vector<Member>& members) {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const Member& member : members) names.push_back(member.first);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) {
      invalid_json(fmt::format("the key {} stands twice in one object", show_text(*twice)));
    }
  }

  // The parser's "[...] parse error at line 1, column 9: syntax error while parsing value - invalid
  // literal; last read: '...'" without the parts that repeat the place or the input.
  static std::string reason(std::string_view what) {
    const size_t id_end = what.find("] ");
    if (id_end != std::string_view::npos) what.remove_prefix(id_end + 2);
    if (what.starts_with("parse error")) {
      const size_t place_end = what.find(": ");
      if (place_end != std::string_view::npos) what.remove_prefix(place_end + 2);
    }
    what = what.substr(0, what.find("; last read: "));
    return std::string(utf8_head(what, kShownReasonBytes));
  }

  Json document_;
  std::vector<OpenValue> open_;
  int64_t n_values_ = 0;
};

}  // namespace

Json parse_json_line(std::string_view text) {
  const size_t n_valid = valid_utf8_prefix(text);
  if (n_valid < text.size()) {
    throw RequestError("invalid_utf8",
                       fmt::format("byte {} (0x{:02x}) is not valid UTF-8", n_valid + 1,
                                   static_cast<unsigned char>(text[n_valid])));
  }
  // A JSON file that is laid out over several lines begins so.
  const size_t first = text.find_first_not_of(" \t");
  if (first != std::string_view::npos && (text.substr(first) == "[" || text.substr(first) == "{")) {
    invalid_json(fmt::format("the line is only {}; expected one whole JSON object a line",
                             show_text(text.substr(first))));
  }
  DocumentBuilder builder;
  Json::sax_parse(text.data(), text.data() + text.size(), &builder);
  Json document = builder.take();
  if (!document.is_object()) {
    invalid_json(fmt::format("the line is {}; expected a JSON object", show_value(document)));
  }
  return document;
}

std::string show_text(std::string_view text) {
  if (text.size() <= kShownTextBytes) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  std::string shown =
      Json(utf8_head(text, kShownTextBytes)).dump(-1, ' ', false, Json::error_handler_t::replace);
  shown.insert(shown.size() - 1, "...");
  return shown;
}

std::string show_value(const Json& value) {
  if (value.is_string()) return show_text(value.get_ref<const std::string&>());
  if (value.is_array()) return value.empty() ? "an empty array" : "an array";
  if (value.is_object()) return value.empty() ? "an empty object" : "an object";
  return value.dump();
}

}  // namespace prefold
