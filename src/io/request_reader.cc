#include "io/request_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "io/field.h"
#include "io/request_parameters.h"
#include "io/utf8.h"

namespace prefold {
namespace {

constexpr size_t kMaxIdBytes = 512;
constexpr std::string_view kChatUrl = "/v1/chat/completions";
constexpr std::string_view kCompletionUrl = "/v1/completions";
constexpr std::string_view kEmbeddingUrl = "/v1/embeddings";

std::string place(const SourceLine& source) {
  return fmt::format("{}:{}", source.file, source.line);
}

// A line that cannot be parsed still gets an error line of the kind that its neighbours have.
LineKind guess_kind(std::string_view text) {
  const bool openai = text.find("\"custom_id\"") != std::string_view::npos;
  return openai ? LineKind::kOpenAiChat : LineKind::kShort;
}

bool has_any(const Json& object, std::initializer_list<std::string_view> names) {
  return std::any_of(object.items().begin(), object.items().end(), [&](const auto& member) {
    return std::find(names.begin(), names.end(), member.key()) != names.end();
  });
}

// Sets request.id. OpenAI's ids are strings; short lines may have integers.
void read_id(const Field& field, bool integer_allowed, Request& request) {
  const auto fail = [&](const std::string& message) { throw RequestError("invalid_id", message); };
  if (field.value.is_null()) return;
  if (integer_allowed && field.value.is_number_integer()) {
    request.id = field.value.dump();
    request.id_is_integer = true;
    return;
  }
  if (!field.value.is_string()) {
    fail(fmt::format("\"{}\" is {}; expected {}", field.name, show_value(field.value),
                     integer_allowed ? "a string or an integer" : "a string"));
  }
  const std::string& id = field.value.get_ref<const std::string&>();
  if (id.empty() || id.size() > kMaxIdBytes) {
    fail(fmt::format("\"{}\" has {} bytes; expected from 1 to {}", field.name, id.size(),
                     kMaxIdBytes));
  }
  request.id = id;
}

Json& required_member(Json& object, const char* name, std::string_view expected) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) {
    throw RequestError("missing_field",
                       fmt::format("\"{}\" is missing; expected {}", name, expected));
  }
  return *found;
}

// Sets request.kind from the url. The kind is OpenAI's before, so that errors have its shape.
RequestForm read_url(Json& line, Request& request) {
  Json& method = required_member(line, "method", "\"POST\"");
  if (method != "POST") {
    throw RequestError("unsupported_method",
                       fmt::format("\"method\" is {}; expected \"POST\"", show_value(method)));
  }
  Json& url = required_member(
      line, "url",
      fmt::format("\"{}\", \"{}\" or \"{}\"", kChatUrl, kCompletionUrl, kEmbeddingUrl));
  if (url == kChatUrl) return RequestForm::kChatBody;
  if (url == kCompletionUrl) {
    request.kind = LineKind::kOpenAiCompletion;
    return RequestForm::kCompletionBody;
  }
  if (url == kEmbeddingUrl) {
    request.kind = LineKind::kOpenAiEmbedding;
    return RequestForm::kEmbeddingBody;
  }
  throw RequestError("unsupported_url",
                     fmt::format("\"url\" is {}; expected \"{}\", \"{}\" or \"{}\"",
                                 show_value(url), kChatUrl, kCompletionUrl, kEmbeddingUrl));
}

void read_openai_line(Json& line, Request& request) {
  for (const auto& member : line.items()) {
    const std::string& name = member.key();
    if (name != "custom_id" && name != "method" && name != "url" && name != "body") {
      throw RequestError(
          "unsupported_parameter",
          fmt::format("unknown field {}; parameters belong inside \"body\"", show_text(name)));
    }
  }
  const RequestForm form = read_url(line, request);
  Json& body = required_member(line, "body", "an object");
  if (!body.is_object()) throw_unexpected({"body", body}, "an object");
  read_request_members(body, form, request);
}

void read_short_line(Json& line, Request& request) {
  const auto messages = line.find("messages");
  const bool chat = messages != line.end() && !messages->is_null();
  read_request_members(line, chat ? RequestForm::kShortMessages : RequestForm::kShortPrompt,
                       request);
}

void read_line(const InputLine& line, Request& request) {
  request.kind = guess_kind(line.text);
  if (line.too_long) {
    throw RequestError("line_too_long",
                       fmt::format("the line is longer than {} bytes", line.max_bytes));
  }
  Json document = parse_json_line(line.text);
  const bool openai = has_any(document, {"custom_id", "body", "url", "method"});
  request.kind = openai ? LineKind::kOpenAiChat : LineKind::kShort;
  const std::string id_name = openai ? "custom_id" : "id";
  const auto id = document.find(id_name);
  if (id != document.end()) read_id({id_name, *id}, !openai, request);
  if (openai) {
    read_openai_line(document, request);
  } else {
    read_short_line(document, request);
  }
}

LineError line_error(Request&& request, std::string code, const std::string& message) {
  std::string text = fmt::format("{}: {}", place(request.source), message);
  return {std::move(request.source),
          std::move(request.id),
          request.id_is_integer,
          request.kind,
          {std::move(code), std::move(text)}};
}

}  // namespace

RequestOrError read_request(const InputLine& line, const SamplingParams& defaults) {
  Request request;
  request.source = line.source;
  request.id = place(line.source);
  request.params = defaults;
  try {
    read_line(line, request);
    return request;
  } catch (const RequestError& error) {
    return line_error(std::move(request), error.code(), error.what());
  }
}

RequestReader::RequestReader(std::vector<std::string> paths, SamplingParams defaults,
                             size_t max_line_bytes)
    : lines_(std::move(paths), max_line_bytes), defaults_(std::move(defaults)) {}

std::optional<RequestOrError> RequestReader::next() {
  InputLine line;
  if (!next_line(line)) return std::nullopt;
  RequestOrError result = read(line);
  check_id(line.source, result);
  return result;
}

void RequestReader::check_id(const SourceLine& source, RequestOrError& read) {
  const std::string& id =
      std::visit([](const auto& it) -> const std::string& { return it.id; }, read);
  if (ids_.insert(id)) return;

  // The error line must not carry the id: whoever joins by id would find two results for it.
  Request repeated;
  repeated.source = source;
  repeated.id = place(source);
  repeated.kind = std::visit([](const auto& it) { return it.kind; }, read);
  const std::string message = fmt::format(
      "the id {} stands on an earlier line; ids must differ over all inputs", show_text(id));
  read = line_error(std::move(repeated), "duplicate_id", message);
}

}  // namespace prefold
