#include "io/request_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "io/extra_fields.h"
#include "io/field.h"
#include "io/line_problems.h"
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

bool has(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && !found->is_null();
}

// Data of the user's own may be called url or body, so beside a prompt that alone says nothing.
bool is_openai_line(const Json& line) {
  if (line.contains("custom_id")) return true;
  if (has(line, "body") && line["body"].is_object()) return true;
  if (has(line, "prompt") || has(line, "prompt_token_ids") || has(line, "messages")) return false;
  return line.contains("method") || line.contains("url") || line.contains("body");
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

void check_method(Json& line) {
  Json& method = required_member(line, "method", "\"POST\"");
  if (method != "POST") {
    throw RequestError("unsupported_method",
                       fmt::format("\"method\" is {}; expected \"POST\"", show_value(method)));
  }
}

// Sets request.kind from the url. The kind is OpenAI's before, so that errors have its shape.
RequestForm read_url(Json& line, Request& request) {
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

// Takes what stands beside the body.
void read_beside_body(Json& line, Request& request, LineProblems& problems) {
  Json::object_t extra;
  for (auto& member : line.get_ref<Json::object_t&>()) {
    const std::string& name = member.first;
    Json& value = member.second;
    if (problems.full()) break;
    if (name == "custom_id" || name == "method" || name == "url" || name == "body") continue;
    problems.attempt([&] {
      if (name == "metadata") {
        request.beside_body = std::move(value);
        return;
      }
      check_field_beside_body({name, value});
      extra.emplace_back(name, std::move(value));
    });
  }
  problems.attempt([&] {
    request.n_extra_fields += static_cast<int32_t>(extra.size());
    add_extra_fields(std::move(extra), request.beside_body);
  });
}

void read_openai_line(Json& line, Request& request, LineProblems& problems) {
  read_beside_body(line, request, problems);
  problems.attempt([&] { check_method(line); });
  problems.attempt([&] {
    const RequestForm form = read_url(line, request);
    Json& body = required_member(line, "body", "an object");
    if (!body.is_object()) throw_unexpected({"body", body}, "an object");
    read_request_members(body, form, request, problems);
  });
}

void read_short_line(Json& line, Request& request, LineProblems& problems) {
  const RequestForm form =
      has(line, "messages") ? RequestForm::kShortMessages : RequestForm::kShortPrompt;
  read_request_members(line, form, request, problems);
}

void read_line(const InputLine& line, Request& request, LineProblems& problems) {
  request.kind = guess_kind(line.text);
  if (line.too_long) {
    throw RequestError("line_too_long",
                       fmt::format("the line is longer than {} bytes", line.max_bytes));
  }
  Json document = parse_json_line(line.text);
  const bool openai = is_openai_line(document);
  request.kind = openai ? LineKind::kOpenAiChat : LineKind::kShort;
  const std::string id_name = openai ? "custom_id" : "id";
  const auto id = document.find(id_name);
  if (id != document.end()) {
    problems.attempt([&] { read_id({id_name, *id}, !openai, request); });
  }
  if (openai) {
    read_openai_line(document, request, problems);
  } else {
    read_short_line(document, request, problems);
  }
}

LineError line_error_of(Request&& request, std::vector<RequestFailure> problems) {
  const std::string at = place(request.source) + ": ";
  for (RequestFailure& problem : problems) problem.message.insert(0, at);
  RequestFailure first = std::move(problems.front());
  problems.erase(problems.begin());
  const bool is_short = request.kind == LineKind::kShort;
  return {std::move(request.source),
          std::move(request.id),
          request.id_is_integer,
          request.kind,
          std::move(first),
          std::move(problems),
          std::move(is_short ? request.metadata : request.beside_body)};
}

}  // namespace

LineError line_error(Request&& request, const RequestError& error) {
  return line_error_of(std::move(request), {{error.code(), error.what()}});
}

RequestOrError read_request(const InputLine& line, const SamplingParams& defaults) {
  Request request;
  request.source = line.source;
  request.id = place(line.source);
  request.params = defaults;
  LineProblems problems;
  problems.attempt([&] { read_line(line, request, problems); });
  if (problems.none()) return request;
  return line_error_of(std::move(request), problems.take());
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
  if (ids_.insert(id) && !source.repeats_id) return;

  // The error line must not carry the id: whoever joins by id would find two results for it.
  const std::string message = fmt::format(
      "the id {} stands on an earlier line; ids must differ over all inputs", show_text(id));
  Request* request = std::get_if<Request>(&read);
  LineError error = request != nullptr ? line_error(std::move(*request), {"duplicate_id", message})
                                       : std::get<LineError>(std::move(read));
  if (request == nullptr) {
    error.further.insert(error.further.begin(), std::move(error.failure));
    error.failure = {"duplicate_id", fmt::format("{}: {}", place(source), message)};
  }
  error.id = place(source);
  error.id_is_integer = false;
  read = std::move(error);
}

}  // namespace prefold
