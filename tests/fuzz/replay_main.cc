// Calls a fuzz target on stored inputs: replay FILE_OR_FOLDER... Findings end the process, as under
// the fuzzer; nothing to replay is an error.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/fuzz_target.h"

namespace {

namespace fs = std::filesystem;

void replay(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string input{std::istreambuf_iterator<char>(in), {}};
  std::fprintf(stderr, "%s\n", path.c_str());
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  int n_inputs = 0;
  for (int i = 1; i < argc; ++i) {
    std::vector<fs::path> paths;
    if (fs::is_directory(argv[i])) {
      for (const fs::directory_entry& entry : fs::directory_iterator(argv[i])) {
        paths.push_back(entry.path());
      }
    } else if (fs::is_regular_file(argv[i])) {
      paths.emplace_back(argv[i]);
    }
    for (const fs::path& path : paths) replay(path);
    n_inputs += static_cast<int>(paths.size());
  }
  std::printf("%d inputs\n", n_inputs);
  return n_inputs == 0 ? 1 : 0;
}
