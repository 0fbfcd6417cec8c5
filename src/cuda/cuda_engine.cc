#include "cuda/cuda_engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "cuda/cublas_rows.h"
#include "cuda/cuda_range.h"
#include "cuda/error.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/expert_routes.h"
#include "model/forward_pass.h"

namespace prefold::cuda {
namespace {

// Rows of logits at a time: enough to pay for reading the LM head's weights.
constexpr int32_t kMaxLogitRows = 256;

// Where cuBLAS is not faster with so many, it is not used.
constexpr int32_t kMostMeasuredRows = 1024;

// What kernels/cuda/attention.h takes.
constexpr int32_t kHeadSizes[] = {16, 32, 48, 64, 80, 96, 112, 128, 256};
constexpr int32_t kMostHeadsPerKvHead = 16;

cudaStream_t make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda("creation of a stream", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  check_cuda("creation of an event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

// Measured with the layers' own matrices in memory that is given back at once.
CublasRows measure_layers(const CudaContext& context, int32_t max_rows) {
  std::vector<const DeviceLinear*> linears = linears_of(context.weights);
  std::erase(linears, &context.weights.output);
  size_t n_in = 0, n_out = 0;
  for (const DeviceLinear* linear : linears) {
    n_in = std::max<size_t>(n_in, linear->weight.n_in);
    n_out = std::max<size_t>(n_out, linear->weight.n_out);
  }
  MeasuringBuffers buffers;
  buffers.type = context.type;
  buffers.max_rows = max_rows;
  const size_t x_bytes = buffers.max_rows * n_in * bytes_of(context.type);
  const size_t out_bytes = buffers.max_rows * n_out * bytes_of(context.type);
  DeviceArena arena(arena_bytes(x_bytes) + arena_bytes(out_bytes));
  buffers.x = {arena.take<std::byte>(x_bytes), x_bytes};
  buffers.out = {arena.take<std::byte>(out_bytes), out_bytes};
  check_cuda("zeroing of operands", cudaMemsetAsync(buffers.x.data(), 0, x_bytes, context.stream));
  return measure_cublas_rows(context.linear, linears, buffers);
}

// Measured in the workspace, where its rows and logits go later.
int32_t measure_output(const CudaContext& context, int32_t max_rows) {
  const DeviceLinear* output = &context.weights.output;
  const CudaWorkspace& workspace = context.workspace;
  const size_t n_rows = max_rows;
  MeasuringBuffers buffers;
  buffers.type = context.type;
  buffers.output = GemmOutput::kStoreF32;
  buffers.max_rows = max_rows;
  buffers.x = {workspace.normed, n_rows * output->weight.n_in * bytes_of(context.type)};
  buffers.out = {reinterpret_cast<std::byte*>(workspace.logits),
                 n_rows * workspace.logits_stride * sizeof(float)};
  check_cuda("zeroing of operands",
             cudaMemsetAsync(buffers.x.data(), 0, buffers.x.size(), context.stream));
  return measure_cublas_rows(context.linear, std::span(&output, 1), buffers)
      .of(output->weight.format);
}

}  // namespace

void CudaEngine::StreamEnd::operator()(cudaStream_t stream) const {
  (void)cudaStreamDestroy(stream);
}
void CudaEngine::EventEnd::operator()(cudaEvent_t event) const { (void)cudaEventDestroy(event); }

// What the parts of an engine are allocated for.
struct CudaEngine::Sizes {
  WorkspaceShape workspace;
  StepTableLimits tables;
  SamplerLimits sampler;
  EmbeddingLimits embeddings;

  Sizes(const CudaEngineOptions& options, const ModelConfig& config, const CudaWeights& shapes,
        const GpuInfo& device) {
    tables.max_rows = options.token_budget;
    tables.max_blocks_per_span = (options.n_positions + kKvBlockTokens - 1) / kKvBlockTokens;
    // Each goes to a block of its own, or to one given up by what started in the same step.
    tables.max_copies = options.n_kv_blocks + options.token_budget;
    tables.attention_shape.n_heads = config.n_heads;
    tables.attention_shape.n_kv_heads = config.n_kv_heads;
    tables.attention_shape.tile_rows = attention_tile_rows(options.type, config.head_dim);
    tables.attention_shape.n_sms = device.sm_count;
    tables.windows = attention_windows(config, options.n_positions);
    tables.attention = attention_limits(options.token_budget, tables.attention_shape);
    tables.n_adapters = shapes.adapters.n;
    tables.last_window = tables.windows[attention_window_idx(config, options.n_positions).back()];

    sampler.n_sms = device.sm_count;
    sampler.n_vocab = config.vocab_size;
    sampler.max_slots = options.max_slots;
    sampler.max_items = options.max_items;
    sampler.max_batch = std::min(options.max_items, kMaxLogitRows);
    sampler.max_top = options.max_scores_top;
    sampler = with_demands(sampler, options.demands);

    embeddings.max_rows = options.embeds ? options.token_budget : 0;
    embeddings.n_cols = config.hidden_size;

    workspace.type = options.type;
    workspace.max_rows = std::max(options.token_budget, sampler.max_batch);
    workspace.max_logit_rows = sampler.max_batch;
    workspace.n_positions = options.n_positions;
    workspace.allowed_len = options.allowed_len;
    workspace.n_partial_rows = tables.attention.n_partial_rows;
    workspace.max_lora_rank = shapes.adapters.max_rank;
    workspace.max_reordered = shapes.max_reordered;
    if (uses_cublas(options)) {
      for (const DeviceLinear* linear : linears_of(shapes)) {
        workspace.linear_scratch_bytes =
            std::max(workspace.linear_scratch_bytes, cublas_scratch_bytes(linear->weight));
      }
      workspace.cublas_workspace_bytes = kCublasWorkspaceBytes;
    }
  }

  size_t work_bytes(const ModelConfig& config) const {
    return workspace_bytes(workspace, config) + arena_bytes(step_table_bytes(tables)) +
           sampler_device_bytes(sampler) + embedding_device_bytes(embeddings);
  }
  size_t pinned_bytes() const {
    return StepTableBuilder::kMaxSteps * arena_bytes(step_table_bytes(tables)) +
           sampler_pinned_bytes(sampler) + embedding_pinned_bytes(embeddings);
  }
};

void check_model(const ModelConfig& config) {
  if (std::find(std::begin(kHeadSizes), std::end(kHeadSizes), config.head_dim) ==
      std::end(kHeadSizes)) {
    throw Error(
        fmt::format("--device cuda: this model's heads have {} elements; expected one of {}",
                    config.head_dim, fmt::join(kHeadSizes, ", ")));
  }
  if (config.n_heads > kMostHeadsPerKvHead * config.n_kv_heads) {
    throw Error(fmt::format(
        "--device cuda: this model has {} heads for {} of keys and values; expected {} for one at "
        "most",
        config.n_heads, config.n_kv_heads, kMostHeadsPerKvHead));
  }
  if (config.moe.n_experts > kMostExperts || config.moe.n_used > kMostUsedExperts) {
    throw Error(fmt::format(
        "--device cuda: this model has {} experts, of which a row takes {}; expected {} and {} at "
        "most",
        config.moe.n_experts, config.moe.n_used, kMostExperts, kMostUsedExperts));
  }
}

bool uses_cublas(const CudaEngineOptions& options) {
  return !options.deterministic && options.type != FloatType::kF32;
}
int32_t most_measured_rows(const CudaEngineOptions& options) {
  return last_measured_rows(std::min(options.token_budget, kMostMeasuredRows));
}
int32_t most_measured_output_rows(const CudaEngineOptions& options) {
  return last_measured_rows(std::min(options.max_items, kMaxLogitRows));
}

CudaEngineBytes engine_bytes(const CudaEngineOptions& options, const ModelConfig& config,
                             const CudaWeights& shapes, const GpuInfo& device) {
  const CudaEngine::Sizes sizes(options, config, shapes, device);
  return {sizes.work_bytes(config), options.n_kv_blocks * kv_bytes_per_block(options.type, config),
          sizes.pinned_bytes()};
}

CudaEngine::CudaEngine(const CudaEngineOptions& options, const ModelConfig& config,
                       const CudaWeights& weights, const GpuInfo& device)
    : CudaEngine(options, config, weights, device, Sizes(options, config, weights, device)) {}

CudaEngine::CudaEngine(const CudaEngineOptions& options, const ModelConfig& config,
                       const CudaWeights& weights, const GpuInfo& device, const Sizes& sizes)
    : config_(config),
      stream_(make_stream()),
      work_arena_(sizes.work_bytes(config)),
      pinned_arena_(sizes.pinned_bytes()),
      workspace_(allocate_workspace(sizes.workspace, config, work_arena_)),
      tables_(sizes.tables, work_arena_, pinned_arena_),
      sampler_(sizes.sampler, work_arena_, pinned_arena_),
      embedding_rows_(sizes.embeddings, work_arena_, pinned_arena_),
      context_{config,
               options.type,
               stream_.get(),
               weights,
               workspace_,
               {},
               {},
               {},
               0,
               attention_window_idx(config, options.n_positions)},
      max_step_rows_(options.token_budget),
      max_logit_rows_(sizes.sampler.max_batch) {
  LinearContext& linear = context_.linear;
  linear.stream = stream_.get();
  linear.n_sms = device.sm_count;
  linear.deterministic = options.deterministic;
  if (uses_cublas(options)) settle_cublas(options);
  context_.output_linear = linear;
  context_.output_linear.cublas_rows = {cublas_choice_.output, cublas_choice_.output,
                                        cublas_choice_.output};
  allocate_kv(options);
  context_.max_shared_bytes = static_cast<int32_t>(device.shared_bytes_per_block);
  check_cuda("preparation of the attention kernel",
             prepare_attention(options.type, config.head_dim, context_.max_shared_bytes));
  if (options.graphs) {
    graphs_.emplace(stream_.get());
    adapted_graphs_.emplace(stream_.get());
  }
  for (Flight& flight : flights_) flight.done.reset(make_event());
  check_cuda("preparation of the engine", cudaDeviceSynchronize());
}

void CudaEngine::settle_cublas(const CudaEngineOptions& options) {
  LinearContext& linear = context_.linear;
  cublas_.emplace(stream_.get(), workspace_.cublas_workspace);
  linear.cublas = cublas_->get();
  linear.scratch = workspace_.linear_scratch;
  if (options.cublas_choice) {
    cublas_choice_ = *options.cublas_choice;
  } else {
    const int32_t max_rows = most_measured_rows(options);
    const int32_t max_output_rows = most_measured_output_rows(options);
    if (max_rows > 0) cublas_choice_.layers = measure_layers(context_, max_rows);
    if (max_output_rows > 0) cublas_choice_.output = measure_output(context_, max_output_rows);
  }
  linear.cublas_rows = cublas_choice_.layers;
}

// After cuBLAS's rows were measured, which takes memory for a moment.
void CudaEngine::allocate_kv(const CudaEngineOptions& options) {
  const size_t n_bytes = options.n_kv_blocks * kv_bytes_per_block(options.type, config_);
  kv_arena_.emplace(n_bytes);
  CudaKvCache& kv = context_.kv;
  kv.type = options.type;
  kv.n_blocks = options.n_kv_blocks;
  kv.layer_bytes = n_bytes / config_.n_layers / 2;
  kv.k = kv_arena_->take<std::byte>(n_bytes / 2);
  kv.v = kv_arena_->take<std::byte>(n_bytes / 2);
}

CudaEngine::~CudaEngine() {
  // Steps may be in flight when a run ends by an error: the memory they use must not go before.
  (void)cudaStreamSynchronize(stream_.get());
}

GraphCounts CudaEngine::graph_counts() const {
  if (!graphs_) return {};
  GraphCounts counts = graphs_->counts();
  const GraphCounts& adapted = adapted_graphs_->counts();
  counts.n_graphs += adapted.n_graphs;
  counts.n_replays += adapted.n_replays;
  counts.n_bytes += adapted.n_bytes;
  return counts;
}

void CudaEngine::submit(const StepPlan& plan) {
  CHECK(n_submitted_ - n_taken_ < kMaxSteps);
  Flight& flight = flights_[n_submitted_ % kMaxSteps];
  flight.step_idx = plan.step_idx;
  flight.has_rows = plan.n_rows() > 0;
  if (flight.has_rows) launch(plan, flight.done.get());
  ++n_submitted_;
}

void CudaEngine::launch(const StepPlan& plan, cudaEvent_t done) {
  const int32_t n_recorded_rows = graphs_ ? graph_rows(plan.n_rows(), max_step_rows_) : 0;
  const StepTables tables = upload(plan, n_recorded_rows);
  const Range range("launches");
  copy_blocks(context_, tables, static_cast<int32_t>(plan.copies.size()));
  CudaLayers layers(context_, tables, sampler_.last_tokens());
  const auto launch_layers = [&] { forward_pass(layers, config_); };
  if (tables.is_replayable) {
    (plan.adapters.empty() ? graphs_ : adapted_graphs_)->run(tables.n_rows, launch_layers);
  } else {
    launch_layers();
  }
  launch_embeddings(layers.activations());
  launch_head(layers.activations());
  sampler_.finish_step(stream_.get());
  check_cuda("record of a step's end", cudaEventRecord(done, stream_.get()));
}

StepTables CudaEngine::upload(const StepPlan& plan, int32_t n_recorded_rows) {
  const Range range("tables");
  find_wanted_rows(plan, wanted_);
  const StepTables tables =
      tables_.upload(plan, wanted_.rows, n_recorded_rows, n_submitted_, stream_.get());
  const std::span<const int32_t> place =
      tables.kept.n_rows > 0 ? std::span<const int32_t>(wanted_.place) : std::span<const int32_t>{};
  sampler_.begin_step(plan, place, stream_.get());
  embedding_rows_.begin_step(plan, place, stream_.get());
  return tables;
}

// In f32, like the stream that they are norms of.
void CudaEngine::launch_embeddings(const CudaActivations& act) {
  constexpr int32_t kBatchRows = EmbeddingRows::kBatchRows;
  for (int32_t first = 0; first < embedding_rows_.n_rows(); first += kBatchRows) {
    const int32_t n_rows = std::min(kBatchRows, embedding_rows_.n_rows() - first);
    CudaLogits ops{context_, embedding_rows_.rows() + first};
    ops.norm_of_rows(act.hidden, {embedding_rows_.normed(), FloatType::kF32, n_rows,
                                  config_.hidden_size, config_.hidden_size});
    embedding_rows_.copy_batch(first, n_rows, stream_.get());
  }
}

void CudaEngine::launch_head(const CudaActivations& act) {
  for (int32_t first = 0; first < sampler_.n_items(); first += max_logit_rows_) {
    const int32_t n_rows = std::min(max_logit_rows_, sampler_.n_items() - first);
    CudaLogits ops{context_, sampler_.item_rows() + first};
    CudaRows normed = act.normed;
    normed.n_rows = n_rows;
    logits_pass(ops, act.hidden, normed);
    sampler_.enqueue(first, n_rows, workspace_.logits, workspace_.logits_stride, stream_.get());
  }
}

StepResult CudaEngine::wait() {
  CHECK(n_taken_ < n_submitted_);
  const Flight& flight = flights_[n_taken_ % kMaxSteps];
  StepResult result{flight.step_idx, {}, {}, {}};
  if (flight.has_rows) {
    const Range range("wait");
    check_cuda(fmt::format("step {}", flight.step_idx).c_str(),
               cudaEventSynchronize(flight.done.get()));
    sampler_.take_results(result);
    embedding_rows_.take_results(result);
  }
  ++n_taken_;
  return result;
}

}  // namespace prefold::cuda
