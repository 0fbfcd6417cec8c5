// Says on stdout which GPU there is, or why none can be used; exit status 0 or 1.
#include <cstdio>
#include <string>

#include "cuda/device.h"

int main() {
  std::string why_not;
  const auto device = prefold::cuda::find_cuda_device(why_not);
  if (!device) {
    std::printf("no GPU: %s\n", why_not.c_str());
    return 1;
  }
  std::printf("GPU: %s, compute capability %d.%d, %d multiprocessors\n", device->name.c_str(),
              device->cc_major, device->cc_minor, device->sm_count);
}
