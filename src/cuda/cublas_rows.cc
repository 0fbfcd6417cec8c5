#include "cuda/cublas_rows.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kLeastRows = 32;
constexpr int kTimes = 3;

class Event {
 public:
  Event() { check_cuda("cudaEventCreate", cudaEventCreate(&event_)); }
  ~Event() { (void)cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) {
    check_cuda("cudaEventRecord", cudaEventRecord(event_, stream));
  }
  float ms_since(const Event& begin) {
    check_cuda("cudaEventSynchronize", cudaEventSynchronize(event_));
    float ms = 0.0f;
    check_cuda("cudaEventElapsedTime", cudaEventElapsedTime(&ms, begin.event_, event_));
    return ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

int64_t n_values(const DeviceMatrix& weight) {
  return static_cast<int64_t>(weight.n_out) * weight.n_in;
}

const DeviceLinear* largest_of(WeightFormat format, std::span<const DeviceLinear* const> linears) {
  const DeviceLinear* largest = nullptr;
  for (const DeviceLinear* one : linears) {
    if (one->weight.format != format) continue;
    if (largest == nullptr || n_values(one->weight) > n_values(largest->weight)) largest = one;
  }
  return largest;
}

int32_t measure_one(const LinearContext& context, const DeviceLinear& measured,
                    const MeasuringBuffers& buffers) {
  const int32_t n_in = measured.weight.n_in, n_out = measured.weight.n_out;
  const auto n_rows = static_cast<size_t>(buffers.max_rows);
  CHECK(buffers.x.size() >= n_rows * static_cast<size_t>(n_in) * 2);
  const size_t out_bytes = buffers.output == GemmOutput::kStore ? 2 : 4;
  CHECK(buffers.out.size() >= n_rows * static_cast<size_t>(n_out) * out_bytes);
  Event begin, end;
  const auto time_ms = [&](bool use_cublas, int32_t rows) {
    LinearContext chosen = context;
    chosen.deterministic = !use_cublas;
    chosen.cublas_rows = {0, 0, 0};
    const auto run = [&] {
      linear(chosen, {buffers.x.data(), buffers.type, rows, n_in}, measured,
             {buffers.out.data(), n_out, buffers.output});
    };
    run();  // the first may load code
    double best_ms = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kTimes; ++i) {
      begin.record(context.stream);
      run();
      end.record(context.stream);
      best_ms = std::min(best_ms, static_cast<double>(end.ms_since(begin)));
    }
    return best_ms;
  };
  return find_cublas_rows(time_ms, buffers.max_rows);
}

}  // namespace

int32_t last_measured_rows(int32_t max_rows) {
  if (max_rows < kLeastRows) return 0;
  int32_t n_rows = kLeastRows;
  while (n_rows <= max_rows / 2) n_rows *= 2;
  return n_rows;
}

int32_t find_cublas_rows(const TimeLinearFn& time_ms, int32_t max_rows) {
  int32_t found = CublasRows::kNever;
  for (int32_t n_rows = last_measured_rows(max_rows); n_rows >= kLeastRows; n_rows /= 2) {
    if (time_ms(true, n_rows) >= time_ms(false, n_rows)) break;
    found = n_rows;
  }
  return found;
}

CublasRows measure_cublas_rows(const LinearContext& context,
                               std::span<const DeviceLinear* const> linears,
                               const MeasuringBuffers& buffers) {
  const auto measure = [&](WeightFormat format) {
    const DeviceLinear* largest = largest_of(format, linears);
    return largest == nullptr ? CublasRows::kNever : measure_one(context, *largest, buffers);
  };
  return {measure(WeightFormat::kDense), measure(WeightFormat::kW8), measure(WeightFormat::kW4)};
}

}  // namespace prefold::cuda
