// Steps of few rows as CUDA graphs: their layers are a few hundred launches that each take longer
// to issue than to run, recorded once and replayed with one call.
//
// A step's rows are padded to one of a few numbers (graph_rows), and each has a graph. Its launches
// read all that changes from step to step (tokens, positions, tables, the lists of attention) from
// device memory at fixed places (cuda_step_tables.h), so a replay computes what launches would, to
// the bit.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>

namespace prefold::cuda {

// The rows that a step of n_rows >= 1 is padded to, at most max_rows: 8, 16, 32, 64 and from there
// multiples of 64 up to 512, as tiles of matrix products are, which round rows up anyway. 0: larger
// steps, which keep a device busy while the next one is launched.
int32_t graph_rows(int32_t n_rows, int32_t max_rows);

struct GraphCounts {
  int64_t n_graphs = 0;
  int64_t n_replays = 0;  // steps that were replayed
  int64_t n_bytes = 0;    // of device memory that the graphs took
};

class StepGraphs {
 public:
  explicit StepGraphs(cudaStream_t stream) : stream_(stream) {}

  // Puts the layers of a step of `rows` rows, a result of graph_rows, on the stream: the first such
  // step by launch() itself, so that the code it needs is loaded, the second and all later ones by
  // replay of what launch() does when the second comes. launch() only issues work to the stream
  // and allocates nothing. Throws Error if that or CUDA fails.
  void run(int32_t rows, const std::function<void()>& launch);

  const GraphCounts& counts() const { return counts_; }

 private:
  struct ExecEnd {
    void operator()(cudaGraphExec_t graph) const;
  };
  using Exec = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, ExecEnd>;

  Exec record(const std::function<void()>& launch);

  cudaStream_t stream_;
  std::map<int32_t, Exec> graphs_;  // by rows; null: launched once so far
  GraphCounts counts_;
};

}  // namespace prefold::cuda
