#include "io/file_digest.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"

namespace prefold {

FileDigest digest_of(const FingerprintStream& bytes) {
  return {bytes.n_bytes(), "siphash128:" + to_hex(bytes.value())};
}

FileDigest digest_of_file(const std::string& path) {
  constexpr size_t kChunkBytes = size_t{1} << 20;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  std::vector<char> chunk(kChunkBytes);
  FingerprintStream bytes;
  while (file) {
    const size_t n = std::fread(chunk.data(), 1, chunk.size(), file.get());
    if (n == 0) break;
    bytes.add({chunk.data(), n});
  }
  if (!file || std::ferror(file.get()) != 0) {
    throw Error(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  return digest_of(bytes);
}

}  // namespace prefold
