#include "cuda/step_graphs.h"

#include <algorithm>

#include "base/check.h"
#include "cuda/error.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kFewestRows = 8;
constexpr int32_t kRowStep = 64;  // powers of two below
constexpr int32_t kMostRows = 512;

struct GraphEnd {
  void operator()(cudaGraph_t graph) const { (void)cudaGraphDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, GraphEnd>;

size_t free_bytes() {
  size_t n_free = 0, n_total = 0;
  check_cuda("look at free memory", cudaMemGetInfo(&n_free, &n_total));
  return n_free;
}

Graph capture(cudaStream_t stream, const std::function<void()>& launch) {
  check_cuda("begin of a recording",
             cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    launch();
  } catch (...) {
    if (cudaStreamEndCapture(stream, &graph) == cudaSuccess) GraphEnd()(graph);
    throw;
  }
  check_cuda("end of a recording", cudaStreamEndCapture(stream, &graph));
  return Graph(graph);
}

}  // namespace

void StepGraphs::ExecEnd::operator()(cudaGraphExec_t graph) const {
  (void)cudaGraphExecDestroy(graph);
}

int32_t graph_rows(int32_t n_rows, int32_t max_rows) {
  CHECK(n_rows >= 1 && n_rows <= max_rows);
  if (n_rows > kMostRows) return 0;
  int32_t rows = kFewestRows;
  while (rows < n_rows && rows < kRowStep) rows *= 2;
  if (rows < n_rows) rows = (n_rows + kRowStep - 1) / kRowStep * kRowStep;
  return std::min(rows, max_rows);
}

StepGraphs::Exec StepGraphs::record(const std::function<void()>& launch) {
  const Graph graph = capture(stream_, launch);
  const size_t before = free_bytes();
  cudaGraphExec_t created = nullptr;
  check_cuda("creation of a graph", cudaGraphInstantiate(&created, graph.get(), 0));
  Exec exec(created);
  check_cuda("copy of a graph to the device", cudaGraphUpload(created, stream_));
  ++counts_.n_graphs;
  counts_.n_bytes += static_cast<int64_t>(before - std::min(before, free_bytes()));
  return exec;
}

void StepGraphs::run(int32_t rows, const std::function<void()>& launch) {
  const auto [found, is_first] = graphs_.try_emplace(rows);
  if (is_first) {
    launch();
    return;
  }
  if (found->second == nullptr) found->second = record(launch);
  check_launch("layers_graph", cudaGraphLaunch(found->second.get(), stream_));
  ++counts_.n_replays;
}

}  // namespace prefold::cuda
