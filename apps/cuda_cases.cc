#include "apps/cuda_cases.h"

#include <numeric>

#include "cuda/sampler.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/embed.h"
#include "kernels/cuda/gated.h"
#include "kernels/cuda/kv_copy.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/rope_append.h"
#include "kernels/cuda/sampling.h"

namespace prefold::cuda {
namespace {

constexpr int32_t kRows = 256;
constexpr int32_t kVocab = 128256;

CaseWork embed_case(CaseMemory& memory) {
  constexpr int32_t kIds = 8192;  // of the vocabulary: what is not asked for is not read
  std::vector<int32_t> ids(kRows);
  for (int32_t row = 0; row < kRows; ++row) ids[row] = row * 31 % kIds;
  EmbedArgs args;
  args.token_ids = memory.upload(ids);
  args.n_rows = kRows;
  args.table.n_out = kIds;
  args.table.n_in = kHidden;
  args.table.values = memory.halves(size_t{kIds} * kHidden);
  args.hidden = memory.unwritten<float>(size_t{kRows} * kHidden);
  return {.bytes = kRows * kHidden * (2.0 + 4.0), .launch = [args](cudaStream_t stream) {
            check_launch("embed", launch_embed(args, stream));
          }};
}

CaseWork norm_case(CaseMemory& memory, bool is_layer_norm) {
  NormArgs args;
  args.x = memory.floats(size_t{kRows} * kHidden);
  args.x_stride = args.out_stride = kHidden;
  args.is_layer_norm = is_layer_norm;
  args.weight = memory.floats(kHidden);
  if (is_layer_norm) args.bias = memory.floats(kHidden);
  args.eps = 1e-5f;
  args.n_rows = kRows;
  args.n_cols = kHidden;
  args.out = memory.unwritten<uint16_t>(size_t{kRows} * kHidden);
  return {
      .bytes = kRows * kHidden * (4.0 + 2.0) + kHidden * (is_layer_norm ? 8.0 : 4.0),
      .launch = [args](cudaStream_t stream) { check_launch("norm", launch_norm(args, stream)); }};
}

// Of the queries, beside which keys and values lie.
CaseWork head_norm_case(CaseMemory& memory) {
  constexpr int32_t kAll = (kHeads + 2 * kKvHeads) * kHeadDim;
  HeadNormArgs args;
  args.x = memory.halves(size_t{kRows} * kAll);
  args.stride = kAll;
  args.weight = memory.floats(kHeadDim);
  args.eps = 1e-5f;
  args.n_rows = kRows;
  args.n_heads = kHeads;
  args.head_dim = kHeadDim;
  return {.bytes = 2.0 * 2.0 * kRows * kHeads * kHeadDim, .launch = [args](cudaStream_t stream) {
            check_launch("head_norm", launch_head_norm(args, stream));
          }};
}

CaseWork rope_case(CaseMemory& memory) {
  constexpr int32_t kPositions = 4096;
  constexpr int32_t kQ = kHeads * kHeadDim, kKv = kKvHeads * kHeadDim, kAll = kQ + 2 * kKv;
  std::vector<int32_t> positions(kRows), slots(kRows);
  for (int32_t row = 0; row < kRows; ++row) {
    positions[row] = 1024 + row;
    slots[row] = row;
  }
  RopeAppendArgs args;
  uint16_t* qkv = memory.halves(size_t{kRows} * kAll);
  args.q = qkv;
  args.k = qkv + kQ;
  args.v = qkv + kQ + kKv;
  args.q_stride = args.k_stride = args.v_stride = kAll;
  args.n_rows = kRows;
  args.n_heads = kHeads;
  args.n_kv_heads = kKvHeads;
  args.head_dim = args.rotary_dim = kHeadDim;
  args.cos = memory.floats(size_t{kPositions} * kHeadDim / 2);
  args.sin = memory.floats(size_t{kPositions} * kHeadDim / 2);
  args.positions = memory.upload(positions);
  args.kv_slots = memory.upload(slots);
  args.k_cache = memory.unwritten<uint16_t>(size_t{kRows} * kKv);
  args.v_cache = memory.unwritten<uint16_t>(size_t{kRows} * kKv);
  return {.bytes = kRows * (2.0 * (2 * kQ + 4 * kKv) + 4.0 * kHeadDim),
          .launch = [args](cudaStream_t stream) {
            check_launch("rope_append", launch_rope_append(args, stream));
          }};
}

CaseWork gated_case(CaseMemory& memory) {
  GatedArgs args;
  uint16_t* gate_up = memory.halves(size_t{kRows} * 2 * kIntermediate);
  args.gate = gate_up;
  args.up = gate_up + kIntermediate;
  args.gate_stride = args.up_stride = 2 * kIntermediate;
  args.n_rows = kRows;
  args.n_cols = kIntermediate;
  return {.bytes = 3.0 * 2.0 * kRows * kIntermediate, .launch = [args](cudaStream_t stream) {
            check_launch("gated", launch_gated(args, stream));
          }};
}

// The residual stream in the last layer: every eighth row goes on.
CaseWork keep_rows_case(CaseMemory& memory) {
  std::vector<int32_t> rows(kRows);
  for (int32_t i = 0; i < kRows; ++i) rows[i] = 8 * i + 7;
  KeepRowsArgs args;
  args.x = memory.floats(size_t{8} * kRows * kHidden);
  args.type = FloatType::kF32;
  args.stride = kHidden;
  args.rows = memory.upload(rows);
  args.n_rows = kRows;
  args.n_cols = kHidden;
  return {.bytes = 2.0 * 4.0 * kRows * kHidden, .launch = [args](cudaStream_t stream) {
            check_launch("keep_rows", launch_keep_rows(args, stream));
          }};
}

CaseWork kv_copy_case(CaseMemory& memory) {
  constexpr int32_t kLayers = 32, kCopies = 8, kTokens = 17;
  std::vector<BlockCopy> copies;
  for (int32_t i = 0; i < kCopies; ++i) copies.push_back({2 * i, 2 * i + 1, kTokens});
  KvCopyArgs args;
  args.n_layers = kLayers;
  args.n_blocks = 2 * kCopies;
  args.n_kv_heads = kKvHeads;
  args.head_dim = kHeadDim;
  const size_t n_elements = size_t{kLayers} * args.n_blocks * kKvHeads * kKvBlockTokens * kHeadDim;
  args.k = memory.halves(n_elements);
  args.v = memory.halves(n_elements);
  args.copies = memory.upload(copies);
  args.n_copies = kCopies;
  return {.bytes = 2.0 * 2.0 * 2.0 * kLayers * kCopies * kTokens * kKvHeads * kHeadDim,
          .launch = [args](cudaStream_t stream) {
            check_launch("kv_copy", launch_kv_copy(args, stream));
          }};
}

// Rows of logits, a token of each.
struct Tokens {
  LogitsPartsArgs parts;
  SamplingArgs sampling;
};

Tokens make_tokens(CaseMemory& memory, int32_t n_items, const SamplerSlot& slot, bool wants_logprob,
                   int32_t n_top = 0) {
  std::vector<TokenItem> items(n_items);
  std::vector<SamplerSlot> slots(n_items, slot);
  for (int32_t i = 0; i < n_items; ++i) {
    items[i].slot = i;
    items[i].wants_logprob = wants_logprob;
    items[i].first_top = i * n_top;
    items[i].n_top = static_cast<uint8_t>(n_top);
    slots[i].key = static_cast<uint64_t>(i);
  }
  Tokens tokens;
  tokens.sampling.logits = memory.logits(static_cast<size_t>(n_items) * kVocab);
  tokens.sampling.stride = kVocab;
  tokens.sampling.n_vocab = kVocab;
  tokens.sampling.items = memory.upload(items);
  tokens.sampling.n_items = n_items;
  auto* parts =
      memory.unwritten<LogitsPart>(static_cast<size_t>(n_items) * n_logits_chunks(kVocab));
  tokens.sampling.parts = parts;
  tokens.sampling.slots = memory.upload(slots);
  tokens.sampling.last_tokens = memory.unwritten<int32_t>(n_items);
  tokens.sampling.item_results = memory.unwritten<TokenResult>(n_items);
  tokens.sampling.top_results = memory.unwritten<TokenResult>(size_t(n_items) * n_top);
  tokens.sampling.draws = memory.unwritten<DrawState>(n_items);
  tokens.sampling.candidates =
      memory.unwritten<uint64_t>(static_cast<size_t>(n_items) * kMaxCandidates);
  tokens.sampling.piece_masses =
      memory.unwritten<unsigned long long>(static_cast<size_t>(n_items) * n_draw_pieces(kVocab));
  tokens.sampling.n_row_blocks = draw_row_blocks(n_items, kVocab, memory.device().sm_count);
  tokens.parts.logits = tokens.sampling.logits;
  tokens.parts.stride = kVocab;
  tokens.parts.n_vocab = kVocab;
  tokens.parts.items = tokens.sampling.items;
  tokens.parts.n_items = n_items;
  tokens.parts.parts = parts;
  return tokens;
}

// n_looks: how often the rules have each logit looked at, the best token having to be known first.
CaseWork sampling_case(CaseMemory& memory, int32_t n_items, const SamplerSlot& slot,
                       bool wants_logprob, int32_t n_looks) {
  const Tokens tokens = make_tokens(memory, n_items, slot, wants_logprob);
  const bool draws = slot.temperature > 0.0f;
  return {.bytes = 4.0 * n_looks * n_items * kVocab,
          .launch = [tokens, draws](cudaStream_t stream) {
            check_launch("logits_parts", launch_logits_parts(tokens.parts, stream));
            if (draws) {
              check_launch("weigh_draws", launch_weigh_draws(tokens.sampling, stream));
              check_launch("keep_draws", launch_keep_draws(tokens.sampling, stream));
            }
            check_launch("sampling", launch_sampling(tokens.sampling, stream));
          }};
}

CaseWork greedy_case(CaseMemory& memory) {
  SamplerSlot slot;
  slot.temperature = 0.0f;
  return sampling_case(memory, 64, slot, false, 1);
}

// The best token, then the border in two looks.
CaseWork top_p_case(CaseMemory& memory, int32_t n_items, int32_t top_k) {
  SamplerSlot slot;
  slot.temperature = 0.8f;
  slot.top_p = 0.95f;
  slot.top_k = top_k;
  return sampling_case(memory, n_items, slot, true, 3);
}

// The best token, then the list in two looks that the cache may serve.
CaseWork top_tokens_case(CaseMemory& memory) {
  constexpr int32_t kItems = 64, kTop = 5;
  const Tokens tokens = make_tokens(memory, kItems, {}, true, kTop);
  return {.bytes = 4.0 * 2 * kItems * kVocab, .launch = [tokens](cudaStream_t stream) {
            check_launch("logits_parts", launch_logits_parts(tokens.parts, stream));
            check_launch("top_tokens", launch_top_tokens(tokens.sampling, stream));
          }};
}

// Penalties on the tokens of prompts.
CaseWork changes_case(CaseMemory& memory) {
  constexpr int32_t kItems = 64, kPages = 8, kChanges = kPages * kChangePage;
  SamplerSlot slot;
  slot.frequency_penalty = 0.5f;
  slot.n_changes = slot.max_changes = kChanges;
  Tokens tokens = make_tokens(memory, kItems, slot, false);
  std::vector<LogitChange> changes(size_t{kItems} * kChanges);
  for (size_t i = 0; i < changes.size(); ++i) {
    changes[i].id = static_cast<int32_t>(i % kChanges * 7919 % kVocab);
    changes[i].flags = LogitChange::kPenalized | 1u;
  }
  std::vector<int32_t> pages(size_t{kItems} * kPages);
  std::iota(pages.begin(), pages.end(), 0);
  tokens.sampling.pool.changes = memory.upload(changes);
  tokens.sampling.pool.pages = memory.upload(pages);
  tokens.sampling.pool.pages_per_slot = kPages;
  constexpr double kChangeBytes =
      sizeof(LogitChange) + sizeof(LogitChange::raw) + 2 * sizeof(float);
  return {.bytes = kChangeBytes * kItems * kChanges, .launch = [tokens](cudaStream_t stream) {
            check_launch("change_logits", launch_change_logits(tokens.sampling, stream));
          }};
}

}  // namespace

uint16_t* CaseMemory::halves(size_t n) {
  std::vector<uint16_t> values(n);
  for (uint16_t& value : values) value = static_cast<uint16_t>(0x2c00 | (random_() & 0x83ff));
  return upload(values);
}

float* CaseMemory::floats(size_t n) {
  std::vector<float> values(n);
  for (float& value : values) {
    const uint32_t r = random_();
    value = (0x1p-4f + static_cast<float>(r >> 9) * 0x1p-27f) * ((r & 1) != 0 ? 1.0f : -1.0f);
  }
  return upload(values);
}

float* CaseMemory::logits(size_t n) {
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random_);
  return upload(values);
}

uint8_t* CaseMemory::bytes(size_t n) {
  std::vector<uint8_t> values(n);
  for (uint8_t& value : values) value = static_cast<uint8_t>(random_());
  return upload(values);
}

std::vector<CudaCase> cuda_cases() {
  std::vector<CudaCase> cases{
      {"embed", embed_case},
      {"kv_copy", kv_copy_case},
      {"norm", [](CaseMemory& memory) { return norm_case(memory, false); }},
      {"norm.layer", [](CaseMemory& memory) { return norm_case(memory, true); }},
      {"norm.heads", head_norm_case},
      {"rope_append", rope_case},
      {"gated", gated_case},
      {"keep_rows", keep_rows_case},
      {"sample.greedy", greedy_case},
      {"sample.top_k", [](CaseMemory& memory) { return top_p_case(memory, 64, 50); }},
      {"sample.top_p", [](CaseMemory& memory) { return top_p_case(memory, 64, 0); }},
      {"sample.top_p.1", [](CaseMemory& memory) { return top_p_case(memory, 1, 0); }},
      {"sample.top_tokens", top_tokens_case},
      {"sample.changes", changes_case}};
  for (CudaCase& item : expert_cases()) cases.push_back(std::move(item));
  for (CudaCase& item : attention_cases()) cases.push_back(std::move(item));
  for (CudaCase& item : gemm_cases()) cases.push_back(std::move(item));
  for (CudaCase& item : lora_cases()) cases.push_back(std::move(item));
  return cases;
}

}  // namespace prefold::cuda
