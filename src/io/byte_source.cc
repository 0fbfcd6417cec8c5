#include "io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"

namespace prefold {
namespace {

constexpr size_t kChunkBytes = 256 * 1024;
constexpr size_t kMagicBytes = 4;
constexpr int kGzipWindow = 15 + 16;  // zlib: largest window, gzip header expected

// An open descriptor with the bytes that were read ahead to recognise the format.
class RawSource : public ByteSource {
 public:
  RawSource(const std::string& path, FingerprintStream* digest)
      : name_(path == "-" ? "stdin" : path), digest_(digest) {
    if (path == "-") {
      fd_ = STDIN_FILENO;
    } else {
      fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd_ < 0) throw Error(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
      owned_ = true;
    }
    struct stat status {};
    if (fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode)) {
      close_owned();
      throw Error(fmt::format("cannot read {}: it is a directory", name_));
    }
  }
  ~RawSource() override { close_owned(); }
  RawSource(const RawSource&) = delete;
  RawSource& operator=(const RawSource&) = delete;

  const std::string& name() const { return name_; }

  std::string_view peek_magic() {
    while (n_ahead_ < kMagicBytes) {
      const size_t n = read_descriptor(ahead_ + n_ahead_, kMagicBytes - n_ahead_);
      if (n == 0) break;
      n_ahead_ += n;
    }
    return {ahead_, n_ahead_};
  }

  size_t read(char* to, size_t n_bytes) override {
    if (n_ahead_ == 0) return read_descriptor(to, n_bytes);
    const size_t n = std::min(n_bytes, n_ahead_);
    std::memcpy(to, ahead_, n);
    std::memmove(ahead_, ahead_ + n, n_ahead_ - n);
    n_ahead_ -= n;
    return n;
  }

 private:
  void close_owned() {
    if (owned_) close(fd_);
    owned_ = false;
  }

  size_t read_descriptor(char* to, size_t n_bytes) {
    while (true) {
      const ssize_t n = ::read(fd_, to, n_bytes);
      if (n >= 0) {
        if (digest_ != nullptr) digest_->add({to, static_cast<size_t>(n)});
        return static_cast<size_t>(n);
      }
      if (errno != EINTR) {
        throw Error(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
      }
    }
  }

  std::string name_;
  FingerprintStream* digest_;
  int fd_ = -1;
  bool owned_ = false;
  char ahead_[kMagicBytes] = {};
  size_t n_ahead_ = 0;
};

class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<RawSource> raw) : raw_(std::move(raw)), input_(kChunkBytes) {
    CHECK(inflateInit2(&stream_, kGzipWindow) == Z_OK);
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t read(char* to, size_t n_bytes) override {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(n_bytes, 1u << 30));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0 && !refill()) {
        if (between_members_) return 0;
        throw Error(fmt::format("cannot read {}: the gzip data ends early", raw_->name()));
      }
      if (between_members_) {
        CHECK(inflateReset2(&stream_, kGzipWindow) == Z_OK);
        between_members_ = false;
      }
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        between_members_ = true;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        throw Error(fmt::format("cannot read {}: the gzip data is corrupt ({})", raw_->name(),
                                stream_.msg != nullptr ? stream_.msg : "unknown reason"));
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  bool refill() {
    const size_t n = raw_->read(input_.data(), input_.size());
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(n);
    return n > 0;
  }

  std::unique_ptr<RawSource> raw_;
  std::vector<char> input_;
  z_stream stream_{};
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<RawSource> raw)
      : raw_(std::move(raw)), buffer_(kChunkBytes), stream_(ZSTD_createDStream()) {
    CHECK(stream_ != nullptr);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  size_t read(char* to, size_t n_bytes) override {
    ZSTD_outBuffer output{to, n_bytes, 0};
    while (output.pos == 0) {
      // Decoded bytes may still wait inside the decoder when its input is used up, so the end of
      // the file counts only once a call with no input gives nothing.
      const bool at_end = input_.pos == input_.size && !refill();
      const size_t status = ZSTD_decompressStream(stream_, &output, &input_);
      if (ZSTD_isError(status)) {
        throw Error(fmt::format("cannot read {}: the zstd data is corrupt ({})", raw_->name(),
                                ZSTD_getErrorName(status)));
      }
      if (output.pos > 0 || !at_end) {
        between_frames_ = status == 0;
        continue;
      }
      if (between_frames_) return 0;
      throw Error(fmt::format("cannot read {}: the zstd data ends early", raw_->name()));
    }
    return output.pos;
  }

 private:
  bool refill() {
    input_ = {buffer_.data(), raw_->read(buffer_.data(), buffer_.size()), 0};
    return input_.size > 0;
  }

  std::unique_ptr<RawSource> raw_;
  std::vector<char> buffer_;
  ZSTD_DStream* stream_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool between_frames_ = true;
};

bool is_gzip(std::string_view magic) { return magic.starts_with("\x1f\x8b"); }

// A zstd frame or a skippable one (RFC 8878, 3.1).
bool is_zstd(std::string_view magic) {
  if (magic.size() < kMagicBytes) return false;
  if (magic == "\x28\xb5\x2f\xfd") return true;
  return (static_cast<unsigned char>(magic[0]) & 0xf0) == 0x50 && magic.substr(1) == "\x2a\x4d\x18";
}

struct Signature {
  std::string_view magic;
  const char* what;
};

// Formats that a file of prompts is likely to come in, none of them lines of JSON.
constexpr Signature kOtherFormats[] = {
    {"\xfd\x37\x7a\x58", "it is compressed with xz; gzip and zstd are unpacked"},
    {"BZh", "it is compressed with bzip2; gzip and zstd are unpacked"},
    {"PK\x03\x04", "it is a zip archive; gzip and zstd are unpacked"},
    {"PAR1", "it is a Parquet file; expected lines of JSON"},
    {"\xff\xfe", "it is UTF-16 text; expected UTF-8"},
    {"\xfe\xff", "it is UTF-16 text; expected UTF-8"},
};

}  // namespace

std::unique_ptr<ByteSource> open_byte_source(const std::string& path, FingerprintStream* digest) {
  auto raw = std::make_unique<RawSource>(path, digest);
  const std::string_view magic = raw->peek_magic();
  if (is_gzip(magic)) return std::make_unique<GzipSource>(std::move(raw));
  if (is_zstd(magic)) return std::make_unique<ZstdSource>(std::move(raw));
  for (const Signature& other : kOtherFormats) {
    if (magic.starts_with(other.magic)) {
      throw Error(fmt::format("cannot read {}: {}", raw->name(), other.what));
    }
  }
  return raw;
}

}  // namespace prefold
