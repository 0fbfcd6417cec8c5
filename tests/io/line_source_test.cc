#include "io/line_source.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "base/error.h"
#include "io/test_files.h"

namespace prefold {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t n = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  REQUIRE(!ZSTD_isError(n));
  out.resize(n);
  return out;
}

// "<line>:<text>", with "+" for lines that are too long.
std::vector<std::string> read_all(std::vector<std::string> paths,
                                  size_t max_line_bytes = LineSource::kDefaultMaxLineBytes) {
  LineSource source(std::move(paths), max_line_bytes);
  std::vector<std::string> lines;
  InputLine line;
  while (source.next(line)) {
    lines.push_back(fmt::format("{}:{}{}", line.source.line, line.text, line.too_long ? "+" : ""));
  }
  CHECK_FALSE(source.next(line));
  return lines;
}

using Lines = std::vector<std::string>;

TEST_CASE("lines end in LF, CRLF or with the file, and blank lines only count") {
  TestFiles folder;
  const std::string path = folder.write("a", "one\ntwo\r\n\n  \t\r\nfive\n\nseven");
  CHECK(read_all({path}) == Lines{"1:one", "2:two", "5:five", "7:seven"});
}

TEST_CASE("a byte order mark is dropped at the start of a file only") {
  TestFiles folder;
  const std::string a = folder.write("a",
                                     "\xef\xbb\xbf"
                                     "one\n\xef\xbb\xbf"
                                     "two\n");
  CHECK(read_all({a}) == Lines{"1:one",
                               "2:\xef\xbb\xbf"
                               "two"});
}

TEST_CASE("files are read in order, each counting from line 1 under its own name") {
  TestFiles folder;
  const std::string a = folder.write("a", "1\n2"), b = folder.write("b", ""),
                    c = folder.write("c", "3\n");
  LineSource source({a, b, c});
  InputLine line;
  std::vector<std::string> files;
  while (source.next(line))
    files.push_back(fmt::format("{}:{}", line.source.file, line.source.line));
  CHECK(files == Lines{a + ":1", a + ":2", c + ":1"});
}

TEST_CASE("lines that span the reader's chunks arrive whole") {
  TestFiles folder;
  std::string content;
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    const std::string line(static_cast<size_t>(i) * 30'011 + 1, static_cast<char>('a' + i % 26));
    content += line + (i % 2 == 0 ? "\n" : "\r\n");
    expected.push_back(fmt::format("{}:{}", i + 1, line));
  }
  CHECK(read_all({folder.write("plain", content)}) == expected);
  CHECK(read_all({folder.write("gz", gzip(content))}) == expected);
  CHECK(read_all({folder.write("zst", zstd(content))}) == expected);
}

TEST_CASE("compression is told by content: several members and frames, whatever the name") {
  TestFiles folder;
  const Lines expected{"1:one", "2:two", "3:three"};
  CHECK(read_all({folder.write("a.txt", gzip("one\ntw") + gzip("") + gzip("o\nthree"))}) ==
        expected);
  CHECK(read_all({folder.write("b.gz", zstd("one\ntw") + zstd("") + zstd("o\nthree"))}) ==
        expected);
  const std::string skippable = std::string("\x53\x2a\x4d\x18\x02\x00\x00\x00", 8) + "hi";
  CHECK(read_all({folder.write("c", skippable + zstd("one\ntwo\nthree\n"))}) == expected);
  CHECK(read_all({folder.write("d.gz", "one\ntwo\nthree")}) == expected);
  CHECK(read_all({folder.write("e.gz", gzip(""))}).empty());
}

TEST_CASE("a line over the limit is marked, cut, and followed by the next line") {
  TestFiles folder;
  const std::string ten = "0123456789";
  const std::string path = folder.write("a", "ab\n" + ten + "\n" + ten + "x\nend");
  CHECK(read_all({path}, 10) == Lines{"1:ab", "2:" + ten, "3:" + ten + "x+", "4:end"});

  const std::string big(3'000'000, 'z');
  const std::string bomb = folder.write("b", gzip("ok\n" + big + "\nstill ok\n" + big));
  const std::string head = big.substr(0, 4096);
  CHECK(read_all({bomb}, 1'000'000) ==
        Lines{"1:ok", "2:" + head + "+", "3:still ok", "4:" + head + "+"});
}

TEST_CASE("a named pipe is read like a file") {
  TestFiles folder;
  const std::string path = folder.path("pipe");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(path) << "one\ntwo\n"; });
  CHECK(read_all({path}) == Lines{"1:one", "2:two"});
  writer.join();
}

TEST_CASE("inputs that cannot be read are named with the reason, before any is read") {
  TestFiles folder;
  const std::string good = folder.write("good", "one\n");
  const std::string missing = folder.path("missing");
  CHECK(error_of([&] {
          LineSource({good, missing});
        }) == "cannot read " + missing + ": No such file or directory");
  const std::string directory = folder.path("");  // ends in a slash
  CHECK(error_of([&] { LineSource({directory}); }) ==
        "cannot read " + directory.substr(0, directory.size() - 1) +
            ": it is a directory; name its files, e.g. '" + directory + "*.jsonl'");
  CHECK(error_of([&] { LineSource({"-", "-"}); }) == "standard input (-) can be given only once");
}

TEST_CASE("corrupt and cut compressed files end in an error that names the file") {
  TestFiles folder;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += fmt::format("line {}\n", i * 7919 % 10007);
  const auto message = [&](const std::string& bytes) {
    const std::string path = folder.write("x", bytes);
    const std::string error = error_of([&] { read_all({path}); });
    const size_t at = error.find(path);
    REQUIRE(at != std::string::npos);
    return error.substr(0, at) + "x" + error.substr(at + path.size());
  };
  const std::string gz = gzip(text), zs = zstd(text);
  CHECK(message(gz.substr(0, gz.size() / 2)) == "cannot read x: the gzip data ends early");
  CHECK(message(gz.substr(0, gz.size() - 1)) == "cannot read x: the gzip data ends early");
  CHECK(message(gz.substr(0, 5)) == "cannot read x: the gzip data ends early");
  CHECK(message(zs.substr(0, zs.size() / 2)) == "cannot read x: the zstd data ends early");
  CHECK(message(zs.substr(0, 5)) == "cannot read x: the zstd data ends early");
  CHECK(message(gz + "tail") == "cannot read x: the gzip data is corrupt (incorrect header check)");
  CHECK(message(zs + "tail").starts_with("cannot read x: the zstd data is corrupt ("));
  std::string flipped = gz;
  flipped[gz.size() / 2] = static_cast<char>(flipped[gz.size() / 2] ^ 0x55);
  CHECK(message(flipped).starts_with("cannot read x: the gzip data is corrupt ("));
  std::string bad_sum = gz;
  bad_sum[gz.size() - 5] = static_cast<char>(bad_sum[gz.size() - 5] ^ 1);
  CHECK(message(bad_sum).starts_with("cannot read x: the gzip data is corrupt ("));
}

}  // namespace
}  // namespace prefold
