#include "cuda/cublas_rows.h"

#include <algorithm>
#include <limits>

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

}  // namespace

int32_t find_cublas_rows(const TimeLinearFn& time_ms, int32_t max_rows) {
  int32_t n_rows = kLeastRows;
  while (n_rows <= max_rows / 2) n_rows *= 2;
  int32_t found = CublasRows::kNever;
  for (; n_rows >= kLeastRows && n_rows <= max_rows; n_rows /= 2) {
    if (time_ms(true, n_rows) >= time_ms(false, n_rows)) break;
    found = n_rows;
  }
  return found;
}

int32_t measure_cublas_rows(const LinearContext& context, const DeviceRows& x,
                            const DeviceLinear& measured, const LinearOut& out) {
  Event begin, end;
  const auto time_ms = [&](bool use_cublas, int32_t n_rows) {
    LinearContext chosen = context;
    chosen.deterministic = !use_cublas;
    chosen.cublas_rows = {0, 0, 0};
    DeviceRows rows = x;
    rows.n_rows = n_rows;
    linear(chosen, rows, measured, out);  // the first may load code
    double best_ms = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kTimes; ++i) {
      begin.record(context.stream);
      linear(chosen, rows, measured, out);
      end.record(context.stream);
      best_ms = std::min(best_ms, static_cast<double>(end.ms_since(begin)));
    }
    return best_ms;
  };
  return find_cublas_rows(time_ms, x.n_rows);
}

}  // namespace prefold::cuda
