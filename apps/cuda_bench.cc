// Times the kernels of the CUDA engine, each launch with cold caches, beside what this GPU can do
// at most, measured in the same run: the copy of a large buffer, and a product of cuBLAS. With
// --once each case is launched once and nothing is timed: for tools that count (the emulator's
// CUDAEMU_PROFILE, ncu), a case a run.
#include "apps/cuda_bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/cuda_cases.h"
#include "base/error.h"
#include "cuda/cublas_api.h"

namespace prefold {
namespace cuda {
namespace {

struct Options {
  std::vector<std::string> cases;
  int32_t reps = 20;
  bool list = false;
  bool once = false;
  bool json = false;
};

struct Peaks {
  double bytes_per_s = 0.0;
  double flops = 0.0;
};

struct Times {
  double best_s = 0.0;
  double median_s = 0.0;
};

// Each launch by itself, behind one that replaces what is in the L2 cache.
template <typename Launch>
Times time_launches(const GpuInfo& device, int32_t reps, Launch launch) {
  const auto n_flushed = static_cast<size_t>(2 * device.l2_bytes);
  DeviceArena flushed(n_flushed);
  void* flush = flushed.take<uint8_t>(n_flushed);
  cudaEvent_t begin = nullptr, end = nullptr;
  check_cuda("event", cudaEventCreate(&begin));
  check_cuda("event", cudaEventCreate(&end));
  std::vector<double> times;
  for (int32_t rep = -1; rep < reps; ++rep) {
    check_cuda("flush", cudaMemsetAsync(flush, rep & 0xff, n_flushed, nullptr));
    check_cuda("event", cudaEventRecord(begin, nullptr));
    launch(nullptr);
    check_cuda("event", cudaEventRecord(end, nullptr));
    check_cuda("end of a launch", cudaEventSynchronize(end));
    float ms = 0.0f;
    check_cuda("event", cudaEventElapsedTime(&ms, begin, end));
    if (rep >= 0) times.push_back(static_cast<double>(ms) * 1e-3);
  }
  (void)cudaEventDestroy(begin);
  (void)cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

Peaks measure_peaks(const GpuInfo& device, int32_t reps) {
  constexpr size_t kCopied = size_t{256} << 20;
  constexpr int32_t kSide = 4096;
  CaseMemory memory(device);
  auto* from = memory.unwritten<uint8_t>(kCopied);
  auto* to = memory.unwritten<uint8_t>(kCopied);
  check_cuda("fill", cudaMemset(from, 1, kCopied));
  Peaks peaks;
  peaks.bytes_per_s =
      2.0 * kCopied /
      time_launches(device, reps, [&](cudaStream_t stream) {
        check_cuda("copy", cudaMemcpyAsync(to, from, kCopied, cudaMemcpyDeviceToDevice, stream));
      }).best_s;

  const size_t n_elements = size_t{kSide} * kSide;
  const uint16_t* a = memory.halves(n_elements);
  const uint16_t* b = memory.halves(n_elements);
  auto* c = memory.unwritten<uint16_t>(n_elements);
  const float one = 1.0f, zero = 0.0f;
  cublasHandle_t handle = nullptr;
  check_cublas("cublasCreate", cublas().create(&handle));
  peaks.flops =
      2.0 * kSide * kSide * kSide /
      time_launches(device, reps, [&](cudaStream_t) {
        check_cublas("cublasGemmEx",
                     cublas().gemm_ex(handle, CUBLAS_OP_T, CUBLAS_OP_N, kSide, kSide, kSide, &one,
                                      a, CUDA_R_16F, kSide, b, CUDA_R_16F, kSide, &zero, c,
                                      CUDA_R_16F, kSide, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
      }).best_s;
  check_cublas("cublasDestroy", cublas().destroy(handle));
  return peaks;
}

void print_times(const Options& options, const CudaCase& item, const CaseWork& work,
                 const Times& times, const Peaks& peaks) {
  const double floor_s = std::max(work.bytes / peaks.bytes_per_s, work.flops / peaks.flops);
  if (options.json) {
    fmt::print("{}\n", nlohmann::json{{"case", item.name},
                                      {"best_us", times.best_s * 1e6},
                                      {"median_us", times.median_s * 1e6},
                                      {"gb_per_s", work.bytes / times.best_s * 1e-9},
                                      {"tflops", work.flops / times.best_s * 1e-12},
                                      {"share_of_roofline", floor_s / times.best_s}}
                           .dump());
  } else {
    fmt::print(
        "{:28} best {:9.1f} us  median {:9.1f} us  {:7.1f} GB/s {:5.1f} %  {:6.1f} TFLOP/s "
        "{:5.1f} %  {:5.1f} % roofline\n",
        item.name, times.best_s * 1e6, times.median_s * 1e6, work.bytes / times.best_s * 1e-9,
        100.0 * work.bytes / times.best_s / peaks.bytes_per_s, work.flops / times.best_s * 1e-12,
        100.0 * work.flops / times.best_s / peaks.flops, 100.0 * floor_s / times.best_s);
  }
  std::fflush(stdout);
}

void run(const Options& options) {
  std::vector<CudaCase> cases = cuda_cases();
  if (!options.cases.empty()) {
    std::erase_if(cases, [&](const CudaCase& item) {
      return std::find(options.cases.begin(), options.cases.end(), item.name) ==
             options.cases.end();
    });
    if (cases.size() != options.cases.size()) {
      throw Error(fmt::format("--cases {}: not all of them exist (--list shows those that do)",
                              fmt::join(options.cases, " ")));
    }
  }
  if (options.list) {
    for (const CudaCase& item : cases) fmt::print("{}\n", item.name);
    return;
  }
  std::string why_not;
  const std::optional<GpuInfo> device = find_cuda_device(why_not);
  if (!device) throw Error(fmt::format("--device cuda: {}", why_not));

  Peaks peaks;
  if (!options.once) {
    peaks = measure_peaks(*device, options.reps);
    if (!options.json) {
      fmt::print("{}: copies {:.1f} GB/s, cuBLAS f16 {:.1f} TFLOP/s\n", device->name,
                 peaks.bytes_per_s * 1e-9, peaks.flops * 1e-12);
    } else {
      fmt::print("{}\n", nlohmann::json{{"device", device->name},
                                        {"copy_gb_per_s", peaks.bytes_per_s * 1e-9},
                                        {"cublas_f16_tflops", peaks.flops * 1e-12}}
                             .dump());
    }
  }
  for (const CudaCase& item : cases) {
    CaseMemory memory(*device);
    const CaseWork work = item.make(memory);
    if (options.once) {
      work.launch(nullptr);
      check_cuda(item.name.c_str(), cudaDeviceSynchronize());
      fmt::print(
          "{}\n",
          nlohmann::json{{"case", item.name}, {"bytes", work.bytes}, {"flops", work.flops}}.dump());
    } else {
      print_times(options, item, work, time_launches(*device, options.reps, work.launch), peaks);
    }
  }
}

}  // namespace
}  // namespace cuda

int cuda_bench(int argc, char** argv) {
  cuda::Options options;
  CLI::App app("Times the CUDA engine's kernels against this GPU's measured peaks.");
  app.add_option("--cases", options.cases, "only these");
  app.add_option("--reps", options.reps, "repetitions of each")->check(CLI::Range(1, 10000));
  app.add_flag("--list", options.list, "the names of the cases");
  app.add_flag("--once", options.once, "one launch each, not timed; a JSON line of what it moves");
  app.add_flag("--json", options.json, "JSON lines");
  CLI11_PARSE(app, argc, argv);
  try {
    cuda::run(options);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  return 0;
}

}  // namespace prefold
