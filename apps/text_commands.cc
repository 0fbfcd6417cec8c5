// The commands that work on text and need no weights: tokenize, render, inspect.
#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands.h"
#include "io/field.h"
#include "io/json_line.h"
#include "model/inspect.h"
#include "model/model_file.h"
#include "run/prepared_job.h"

namespace prefold {
namespace {

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Calls answer(object) for each line of standard input and prints what it returns. A bad line gives
// {"error": ...} and exit status 1 in the end, and the others go on.
template <typename Fn>
int for_each_line(Fn&& answer) {
  int status = 0;
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Json result;
    try {
      result = answer(parse_json_line(line));
    } catch (const Error& error) {
      result = {{"error", fmt::format("stdin:{}: {}", number, error.what())}};
      status = 1;
    }
    std::cout << dump(result) << "\n" << std::flush;
    if (!std::cout) throw Error("standard output: write failed");
  }
  return status;
}

Field member(Json& line, const std::string& name) {
  const auto found = line.find(name);
  if (found == line.end()) throw Error(fmt::format("\"{}\" is missing", name));
  return {name, *found};
}

bool flag(Json& line, const std::string& name, bool otherwise) {
  return line.contains(name) ? get_bool(member(line, name)) : otherwise;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("{}: cannot be read", path));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int tokenize_command(const TokenizeOptions& options) {
  const Tokenizer tokenizer(open_model(options.model).tokenizer);
  const auto encode_line = [&](Json line) -> Json {
    return {
        {"ids", tokenizer.encode(get_string(member(line, "text")), flag(line, "add_special", true),
                                 flag(line, "parse_special", true))}};
  };
  const auto decode_line = [&](Json line) -> Json {
    const std::vector<int32_t> ids = get_token_ids(member(line, "ids"), SIZE_MAX, true);
    for (int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) {
        throw Error(fmt::format("token id {}; expected 0 to {}", id, tokenizer.vocab_size() - 1));
      }
    }
    return {{"text", tokenizer.decode(ids, flag(line, "skip_special", false))}};
  };
  return options.decode ? for_each_line(decode_line) : for_each_line(encode_line);
}

int render_command(const RenderOptions& options) {
  const ModelFile model = open_model(options.model);
  TextModel text = make_text_model(model, std::time(nullptr));
  if (!options.template_file.empty()) {
    text.chat_templates = ChatTemplates({{"default", read_file(options.template_file)}});
  }
  return for_each_line([&](Json line) -> Json {
    // The line's members are the template's variables; what it leaves open is the model's.
    const int64_t now_unix_s = line.contains("now")
                                   ? get_integer(member(line, "now"), 0, int64_t{1} << 40)
                                   : text.now_unix_s;
    line.erase("now");
    if (!line.contains("tools")) line["tools"] = nullptr;
    if (!line.contains("documents")) line["documents"] = nullptr;
    if (!line.contains("add_generation_prompt")) line["add_generation_prompt"] = false;
    for (const SpecialTokenName& token : text.special_tokens) {
      if (!line.contains(token.name)) line[token.name] = token.spelling;
    }
    const ChatTemplate& chat_template = text.chat_templates.pick(!line["tools"].is_null());
    return {{"text", chat_template.render(line, now_unix_s)}};
  });
}

int inspect_command(const InspectOptions& options) {
  fmt::print("{}", render_inspection(open_model(options.model)));
  return 0;
}

}  // namespace prefold
