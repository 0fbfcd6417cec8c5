// Where a model's chat templates and special tokens come from.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "gguf_builder.h"
#include "model/hf_chat_format.h"
#include "model/model_file.h"
#include "temp_file.h"
#include "temp_folder.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

// "name=source name=source"
std::string templates_of(const ChatFormat& format) {
  std::string text;
  for (const NamedTemplate& t : format.templates) {
    text += (text.empty() ? "" : " ") + t.name + "=" + t.source;
  }
  return text;
}

std::string tokens_of(const ChatFormat& format) {
  std::string text;
  for (const SpecialTokenName& t : format.special_tokens) {
    text += (text.empty() ? "" : " ") + t.name + "=" + t.spelling;
  }
  return text;
}

ChatFormat read(const TempFolder& folder, const Json& config) {
  return read_hf_chat_format(folder.path(), config);
}

// The message less the folder's path, or "no error".
std::string error_of(const TempFolder& folder, const Json& config) {
  try {
    read(folder, config);
  } catch (const Error& error) {
    const std::string message = error.what();
    REQUIRE(message.starts_with(folder.path() + "/"));
    return message.substr(folder.path().size() + 1);
  }
  return "no error";
}

TEST_CASE("tokenizer_config.json may hold one template or several with names") {
  const TempFolder folder;
  CHECK(templates_of(read(folder, Json::parse(R"({"chat_template": "a"})"))) == "default=a");
  CHECK(templates_of(read(folder, Json::parse(R"({"chat_template": [
          {"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"},
          {"name": "rag", "template": "c"}]})"))) == "default=a tool_use=b rag=c");
  CHECK(templates_of(read(folder, Json::parse(R"({"chat_template": {"tool_use": "b"}})"))) ==
        "tool_use=b");
  CHECK(read(folder, Json::parse(R"({"chat_template": null})")).templates.empty());
  CHECK(read(folder, nullptr).templates.empty());
}

TEST_CASE("templates in files of their own come before those in JSON") {
  const Json config =
      Json::parse(R"({"chat_template": [{"name": "tool_use", "template": "old"}]})");
  const TempFolder folder;
  folder.write("chat_template.json", R"({"chat_template": "processor"})");
  CHECK(templates_of(read(folder, config)) == "tool_use=old");
  CHECK(templates_of(read(folder, Json::object())) == "default=processor");
  folder.write("additional_chat_templates/tool_use.jinja", "b\n");
  folder.write("additional_chat_templates/rag.jinja", "c");
  folder.write("additional_chat_templates/readme.txt", "no template");
  CHECK(templates_of(read(folder, config)) == "rag=c tool_use=b\n");
  folder.write("chat_template.jinja", "a");
  CHECK(templates_of(read(folder, config)) == "default=a rag=c tool_use=b\n");
}

TEST_CASE("special tokens are strings or added tokens") {
  const TempFolder folder;
  Json config = Json::parse(R"({"eos_token": {"__type": "AddedToken", "content": "</s>"},
      "bos_token": "<s>", "pad_token": null, "unk_token": "<unk>", "image_token": "<img>",
      "additional_special_tokens": ["<x>"], "added_tokens_decoder": {}})");
  CHECK(tokens_of(read(folder, config)) == "bos_token=<s> eos_token=</s> unk_token=<unk>");
  // The map counts where the configuration is of the old kind, as it does for transformers.
  folder.write("special_tokens_map.json",
               R"({"pad_token": {"content": "<pad>", "lstrip": false}, "bos_token": "<b>"})");
  CHECK(tokens_of(read(folder, config)) == "bos_token=<s> eos_token=</s> unk_token=<unk>");
  config.erase("added_tokens_decoder");
  CHECK(tokens_of(read(folder, config)) ==
        "bos_token=<b> eos_token=</s> unk_token=<unk> pad_token=<pad>");
  CHECK(tokens_of(read(folder, nullptr)) == "bos_token=<b> pad_token=<pad>");
}

TEST_CASE("what is wrong with a file is said with its name and key") {
  const TempFolder folder;
  const auto error = [&](const char* config) { return error_of(folder, Json::parse(config)); };
  CHECK(error("[]") == "tokenizer_config.json: is array; wanted an object");
  CHECK(error(R"({"chat_template": 3})") ==
        "tokenizer_config.json: \"chat_template\" is number; wanted a string or an array of "
        "{\"name\", \"template\"}");
  CHECK(error(R"({"chat_template": ["x"]})") ==
        "tokenizer_config.json: \"name\" of a \"chat_template\" is null; wanted a string");
  CHECK(error(R"({"chat_template": [{"name": "a"}]})") ==
        "tokenizer_config.json: the chat template \"a\" is null; wanted a string");
  CHECK(error(R"({"chat_template": [{"name": "a", "template": ""},
                                    {"name": "a", "template": ""}]})") ==
        "tokenizer_config.json: there are two chat templates \"a\"");
  CHECK(error(R"({"eos_token": ["</s>"]})") ==
        "tokenizer_config.json: \"eos_token\" is array; wanted a string, or an object with a "
        "string \"content\"");
  folder.write("special_tokens_map.json", R"({"eos_token": {"content": 1}})");
  CHECK(error("{}").starts_with("special_tokens_map.json: \"eos_token\" is object; wanted"));
  folder.write("special_tokens_map.json", R"({"eos_token": )");
  CHECK(error("{}") == "special_tokens_map.json: is not JSON");
  folder.write("chat_template.json", "[1]");
  CHECK(error("{}") == "chat_template.json: is array; wanted an object");
  folder.write("chat_template.jinja", std::string((4 << 20) + 1, 'x'));
  CHECK(error("{}") == "chat_template.jinja: 4194305 bytes; wanted at most 4194304");
  std::filesystem::remove(folder.path() + "/chat_template.jinja");
  std::filesystem::create_directory(folder.path() + "/chat_template.jinja");
  CHECK(error("{}") == "chat_template.jinja: is not a file");
}

TEST_CASE("a GGUF file may have several templates, and names its special tokens by id") {
  GgufBuilder b = tiny_llama();
  b.set_strings("tokenizer.chat_templates", {"tool_use"});
  b.set_string("tokenizer.chat_template.tool_use", "b");
  b.set_string("tokenizer.chat_template", "a");
  b.set_u32("tokenizer.ggml.bos_token_id", 0);
  b.set_u32("tokenizer.ggml.padding_token_id", 2);
  b.set_u32("tokenizer.ggml.seperator_token_id", 3);
  const TempFile file(b.build());
  const ModelFile model = open_model(file.path());
  CHECK(templates_of(model.chat_format) == "tool_use=b default=a");
  CHECK(tokens_of(model.chat_format) == "bos_token=<s> eos_token=</s> pad_token=a sep_token=b");
}

TEST_CASE("a GGUF file without BOS leaves bos_token undefined") {
  const TempFile file(tiny_llama().build());
  const ModelFile model = open_model(file.path());
  CHECK(model.chat_format.templates.empty());
  CHECK(tokens_of(model.chat_format) == "eos_token=</s>");
}

TEST_CASE("templates of a GGUF file that are no strings, or share a name, are refused") {
  GgufBuilder b = tiny_llama();
  b.set_u32("tokenizer.chat_template.x", 3);
  const TempFile file(b.build());
  CHECK_THROWS_WITH_AS(
      open_model(file.path()),
      doctest::Contains("\"tokenizer.chat_template.x\" is of type u32; wanted a string"),
      FormatError);
  b.set_string("tokenizer.chat_template.x", "");
  b.set_string("tokenizer.chat_template.default", "");
  b.set_string("tokenizer.chat_template", "");
  file.write(b.build());
  CHECK_THROWS_WITH_AS(open_model(file.path()),
                       doctest::Contains("there are two chat templates \"default\""), FormatError);
}

}  // namespace
}  // namespace prefold
