#include "model/safetensors.h"

#include <doctest/doctest.h>

#include "base/error.h"
#include "safetensors_builder.h"
#include "temp_folder.h"

namespace prefold {
namespace {

std::vector<SafetensorsEntry> parse(const std::string& content) {
  return parse_safetensors("f", std::as_bytes(std::span(content)));
}

std::string message_of(const std::string& content) {
  try {
    parse(content);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

std::string message_of_header(const std::string& header, size_t n_data = 8) {
  return message_of(safetensors_with_header(header, std::string(n_data, 'x')));
}

TEST_CASE("a file's tensors come in the order of their bytes") {
  const std::string content = build_safetensors(
      {{"b", "BF16", {2, 1}, "abcd"}, {"a", "F32", {}, "efgh"}, {"none", "I8", {0, 3}, ""}});
  const auto entries = parse(content);
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].name == "b");
  CHECK(entries[0].type == SafetensorsType::kBF16);
  CHECK(entries[0].shape == std::vector<int64_t>{2, 1});
  CHECK(content.substr(entries[0].offset, entries[0].n_bytes) == "abcd");
  CHECK(entries[1].name == "a");
  CHECK(entries[1].shape.empty());
  CHECK(content.substr(entries[1].offset, entries[1].n_bytes) == "efgh");
  CHECK(entries[2].n_bytes == 0);
}

TEST_CASE("a header that does not fit its file is refused") {
  CHECK(message_of("abc") ==
        "f: claims a header of 0 bytes; the file has 3 and a header at most 100000000");
  CHECK(message_of(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)) ==
        "f: claims a header of 18446744073709551615 bytes; the file has 10 and a header at most "
        "100000000");
  CHECK(message_of_header("[]").starts_with("f: is array; wanted an object"));
  CHECK(message_of_header("{").starts_with("f: is not JSON"));
  CHECK(message_of_header(R"({"a": 1e999})").starts_with("f: is not JSON"));
  CHECK(message_of_header(R"({"a":1,"a":2})") == "f: key \"a\" occurs twice");
}

TEST_CASE("tensors that contradict their file or themselves are refused by name") {
  const auto with = [](const std::string& entry) {
    return message_of_header(R"({"t":)" + entry + "}");
  };
  CHECK(with("3") == "f: tensor \"t\" is no object in the header");
  CHECK(with(R"({"shape":[2],"data_offsets":[0,8]})") == "f: tensor \"t\" has no \"dtype\"");
  CHECK(with(R"({"dtype":"F12","shape":[2],"data_offsets":[0,8]})") ==
        "f: tensor \"t\" has \"dtype\" \"F12\", which is not supported (F32, F16 and BF16 are)");
  CHECK(with(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})") ==
        "f: tensor \"t\" has \"shape\" [-2]; wanted integers from 0 to 2^60");
  CHECK(with(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})") ==
        "f: tensor \"t\" has \"shape\" [2.0]; wanted integers from 0 to 2^60");
  CHECK(with(R"({"dtype":"F32","shape":[1152921504606846976,16],"data_offsets":[0,8]})") ==
        "f: tensor \"t\" has a shape that no file can hold");
  CHECK(with(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})") ==
        "f: tensor \"t\" takes 12 bytes by \"dtype\" and \"shape\", 8 by \"data_offsets\"");
  CHECK(with(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})") ==
        "f: tensor \"t\" has no \"data_offsets\" of a begin and an end after it");
  CHECK(with(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})") ==
        "f: tensor \"t\" ends at byte 16 of the data, which has 8; is the file truncated?");
}

TEST_CASE("bytes that two tensors share, and bytes of no tensor, are refused") {
  const std::string a = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  CHECK(message_of_header(a + R"("b":{"dtype":"U8","shape":[6],"data_offsets":[2,8]}})")
            .starts_with("f: tensor \"b\" begins at offset "));
  CHECK(message_of_header(a + R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})")
            .starts_with("f: tensor \"b\" begins at offset "));
  CHECK(message_of_header(a + R"("b":{"dtype":"U8","shape":[3],"data_offsets":[4,7]}})")
            .starts_with("f: the tensors end at offset "));
}

std::string index_message(const TempFolder& folder, const std::string& index) {
  folder.write("model.safetensors.index.json", index);
  try {
    find_safetensors(folder.path());
  } catch (const Error& error) {
    const std::string message = error.what();
    return message.substr(message.find(": ") + 2);
  }
  return "no error";
}

TEST_CASE("the index names files of its folder only, all of which must be there") {
  const TempFolder folder;
  CHECK(index_message(folder, "{}") == "has no \"weight_map\" from tensors to files");
  for (const std::string name : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "x",
                                 "..", ".safetensors", "a\\\\b.safetensors"}) {
    CAPTURE(name);
    CHECK(index_message(folder, R"({"weight_map":{"t":")" + name + "\"}}")
              .ends_with("wanted names of .safetensors files in the same folder"));
  }
  CHECK(index_message(folder, R"({"weight_map":{"t":1}})") ==
        "\"weight_map\" gives no file's name for \"t\"");
  folder.write("b.safetensors", "x");
  const std::string index = R"({"weight_map":{"t":"b.safetensors","u":"a.safetensors"}})";
  CHECK(index_message(folder, index) == "these files that it names are missing: a.safetensors");
  folder.write("a.safetensors", "x");
  REQUIRE(index_message(folder, index) == "no error");
  const SafetensorsFiles files = find_safetensors(folder.path());
  CHECK(files.names == std::vector<std::string>{"a.safetensors", "b.safetensors"});
  REQUIRE(files.weight_map.size() == 2);
  CHECK(files.weight_map[0].tensor == "t");
  CHECK(files.weight_map[0].file_idx == 1);
}

TEST_CASE("a folder of weights in another format is refused") {
  const TempFolder folder;
  CHECK_THROWS_AS(find_safetensors(folder.path()), Error);
  folder.write("pytorch_model.bin", "x");
  try {
    find_safetensors(folder.path());
    CHECK(false);
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(message.find("pytorch_model.bin is not read") != std::string::npos);
    CHECK(message.find(".save_pretrained(\"" + folder.path() + "\")") != std::string::npos);
  }
}

}  // namespace
}  // namespace prefold
