#include "model/gguf.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "gguf_builder.h"

namespace prefold {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string message_of(const std::string& content) {
  try {
    parse_gguf("m.gguf", as_bytes(content));
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("every metadata type is read at its extremes") {
  GgufBuilder b;
  b.set("u8", GgufType::kUint8, bytes_of_value<uint8_t>(255));
  b.set("i8", GgufType::kInt8, bytes_of_value<int8_t>(-128));
  b.set("u16", GgufType::kUint16, bytes_of_value<uint16_t>(65535));
  b.set("i16", GgufType::kInt16, bytes_of_value<int16_t>(-32768));
  b.set("u32", GgufType::kUint32, bytes_of_value<uint32_t>(4294967295u));
  b.set("i32", GgufType::kInt32, bytes_of_value<int32_t>(-5));
  b.set("f32", GgufType::kFloat32, bytes_of_value(0.1f));
  b.set("bool", GgufType::kBool, bytes_of_value(true));
  b.set("text", GgufType::kString, gguf_string("caf\xc3\xa9"));
  b.set("u64", GgufType::kUint64, bytes_of_value(std::numeric_limits<uint64_t>::max()));
  b.set("i64", GgufType::kInt64, bytes_of_value(std::numeric_limits<int64_t>::min()));
  b.set("f64", GgufType::kFloat64, bytes_of_value(1e300));
  b.set_strings("words", {"one", "", "three"});
  b.set_numbers<int16_t>("numbers", GgufType::kInt16, {-1, 2, 3});
  for (const uint32_t version : {2u, 3u}) {
    b.version = version;
    const std::string content = b.build();
    const Gguf gguf = parse_gguf("m.gguf", as_bytes(content));
    CHECK(gguf.version == version);
    REQUIRE(gguf.metadata.size() == 14);
    const auto value = [&](size_t i) { return gguf.metadata[i].value; };
    CHECK(std::get<uint64_t>(value(0)) == 255);
    CHECK(std::get<int64_t>(value(1)) == -128);
    CHECK(std::get<uint64_t>(value(2)) == 65535);
    CHECK(std::get<int64_t>(value(3)) == -32768);
    CHECK(std::get<uint64_t>(value(4)) == 4294967295u);
    CHECK(std::get<int64_t>(value(5)) == -5);
    CHECK(std::get<double>(value(6)) == static_cast<double>(0.1f));
    CHECK(std::get<bool>(value(7)));
    CHECK(std::get<std::string_view>(value(8)) == "caf\xc3\xa9");
    CHECK(std::get<uint64_t>(value(9)) == std::numeric_limits<uint64_t>::max());
    CHECK(std::get<int64_t>(value(10)) == std::numeric_limits<int64_t>::min());
    CHECK(std::get<double>(value(11)) == 1e300);
    CHECK(strings_of(std::get<GgufArray>(value(12))) ==
          std::vector<std::string>{"one", "", "three"});
    CHECK(std::get<GgufArray>(value(13)).count == 3);
    CHECK(std::get<GgufArray>(value(13)).bytes.size() == 6);
  }
}

TEST_CASE("tensors are placed in the file, with shapes outermost first") {
  GgufBuilder b;
  b.add_tensor("a", {3, 64}, TensorType::kQ8_0);
  b.add_tensor("b", {5}, TensorType::kF16);
  b.add_tensor("c", {2, 3, 256}, TensorType::kQ6_K);
  const std::string content = b.build();
  const Gguf gguf = parse_gguf("m.gguf", as_bytes(content));
  REQUIRE(gguf.tensors.size() == 3);
  CHECK(gguf.tensors[0].shape == std::vector<int64_t>{3, 64});
  CHECK(gguf.tensors[0].n_bytes == 3 * 2 * 34);
  CHECK(gguf.tensors[0].offset % 32 == 0);
  CHECK(gguf.tensors[1].offset == gguf.tensors[0].offset + 224);
  CHECK(gguf.tensors[2].shape == std::vector<int64_t>{2, 3, 256});
  CHECK(gguf.tensors[2].offset + gguf.tensors[2].n_bytes == content.size());
  CHECK(content[gguf.tensors[1].offset + 9] == 9);  // the builder counts up
}

TEST_CASE("a file may choose its alignment") {
  GgufBuilder b;
  b.alignment = 256;
  b.set_u32("general.alignment", 256);
  b.add_tensor("a", {5}, TensorType::kF32);
  b.add_tensor("b", {5}, TensorType::kF32);
  const std::string content = b.build();
  CHECK(parse_gguf("m.gguf", as_bytes(content)).tensors[1].offset % 256 == 0);
  b.set_u32("general.alignment", 24);
  CHECK(message_of(b.build()) ==
        "m.gguf: \"general.alignment\" is 24; wanted an unsigned power of two up to 1048576");
}

TEST_CASE("headers that cannot be are refused") {
  GgufBuilder b;
  CHECK(message_of("GGU") == "m.gguf: is not a GGUF file");
  CHECK(message_of("GGUF") ==
        "m.gguf: the version at offset 4 needs 4 bytes, but the file ends after 0 more; is it "
        "truncated?");
  b.version = 1;
  CHECK(message_of(b.build()) == "m.gguf: is GGUF version 1; versions 2 and 3 are supported");
  b.version = 3u << 24;
  CHECK(message_of(b.build()) ==
        "m.gguf: is a big-endian GGUF file; only little-endian ones are supported");
  const std::string many = "GGUF" + bytes_of_value(3u) + bytes_of_value<uint64_t>(1u << 30) +
                           bytes_of_value(uint64_t{0});
  CHECK(message_of(many) ==
        "m.gguf: the header claims 1073741824 tensors, more than a file of 24 bytes can hold");
  const std::string most =
      "GGUF" + bytes_of_value(3u) + bytes_of_value(uint64_t{0}) + bytes_of_value(~uint64_t{0});
  CHECK(message_of(most) ==
        "m.gguf: the header claims 18446744073709551615 metadata entries, more than a file of 24 "
        "bytes can hold");
}

TEST_CASE("metadata that lies about itself is refused") {
  GgufBuilder b;
  b.set_array("tokens", GgufType::kString, uint64_t{1} << 60, "");
  CHECK(message_of(b.build()).starts_with(
      "m.gguf: \"tokens\" claims 1152921504606846976 elements of type string, more than the"));
  b.set_array("tokens", GgufType::kArray, 1, "");
  CHECK(message_of(b.build()) ==
        "m.gguf: \"tokens\" is an array of arrays, which is not supported");
  b.set("tokens", static_cast<GgufType>(13), "");
  CHECK(message_of(b.build()) == "m.gguf: \"tokens\" has value type 13; GGUF has types 0 to 12");
  b.set("tokens", GgufType::kBool, "\x02");
  CHECK(message_of(b.build()) == "m.gguf: \"tokens\" is a bool of value 2; wanted 0 or 1");
  b.set("tokens", GgufType::kString, bytes_of_value(~uint64_t{0}));
  CHECK(message_of(b.build()).find("needs 18446744073709551615 bytes") != std::string::npos);
  b.set_u32("tokens", 1);
  b.append_again("tokens");
  CHECK(message_of(b.build()) == "m.gguf: metadata key \"tokens\" occurs twice");
}

TEST_CASE("tensors that cannot be are refused by name") {
  const auto message_with = [](auto change) {
    GgufBuilder b;
    b.add_tensor("a", {2, 32}, TensorType::kQ4_0);
    b.add_tensor("b", {4}, TensorType::kF32);
    change(b);
    return message_of(b.build());
  };
  CHECK(message_with([](GgufBuilder&) {}) == "no error");
  CHECK(message_with([](GgufBuilder& b) { b.tensor("a").type = 16; }) ==
        "m.gguf: tensor \"a\" has type number 16, which is not supported (F32, F16, BF16, Q4_0, "
        "Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K are)");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("a").shape = {64, 1};
        }) == "m.gguf: tensor \"a\" has rows of 1 elements; Q4_0 needs a multiple of 32");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("a").shape = {0, 32};
        }) == "m.gguf: tensor \"a\" has a dimension of 0, which no file can hold");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("a").shape = {uint64_t{1} << 40, uint64_t{1} << 40};
        }) == "m.gguf: tensor \"a\" has a dimension of 1099511627776, which no file can hold");
  CHECK(message_with([](GgufBuilder& b) { b.tensor("a").shape = {}; }) ==
        "m.gguf: tensor \"a\" has 0 dimensions; wanted 1 to 4");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("a").shape = {1000, 32};
        }) ==
        "m.gguf: tensor \"a\" needs 18000 bytes from offset 0 of the tensor data, which has 80; is "
        "the file truncated?");
  CHECK(message_with([](GgufBuilder& b) { b.tensor("b").offset = 33; }) ==
        "m.gguf: tensor \"b\" is at offset 33, no multiple of 32");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("b").offset = ~uint64_t{0} - 31;
        }).find("is the file truncated?") != std::string::npos);
  CHECK(message_with([](GgufBuilder& b) { b.tensor("b").offset = 0; }).find("share bytes") !=
        std::string::npos);
  CHECK(message_with([](GgufBuilder& b) { b.tensor("b").name = "a"; }) ==
        "m.gguf: tensor \"a\" occurs twice");
  CHECK(message_with([](GgufBuilder& b) {
          b.tensor("b").name = std::string(65, 'x');
        }).ends_with("has 65 bytes; wanted 1 to 64"));
}

TEST_CASE("text from a file is shown short and printable") {
  CHECK(printable("blk.0") == "blk.0");
  CHECK(printable("a\x1b[2Jb\n\xff") == "a?[2Jb??");
  CHECK(printable(std::string(100, 'x')) == std::string(64, 'x') + "...");
}

}  // namespace
}  // namespace prefold
