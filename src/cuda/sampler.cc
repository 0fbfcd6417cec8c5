#include "cuda/sampler.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/check.h"
#include "cuda/error.h"
#include "cuda/slot_changes.h"

namespace prefold::cuda {
namespace {

constexpr size_t kUploadAlignment = 16;

int32_t pages_of(int64_t n_changes) {
  return static_cast<int32_t>((n_changes + kChangePage - 1) / kChangePage);
}

constexpr size_t upload_bytes(size_t n_bytes) {
  return (n_bytes + kUploadAlignment - 1) / kUploadAlignment * kUploadAlignment;
}

// How many elements of each array the limits ask for.
struct Sizes {
  explicit Sizes(const SamplerLimits& limits)
      : slots(limits.max_slots),
        items(limits.max_items),
        changes(limits.n_pages * kChangePage),
        slot_pages(static_cast<size_t>(limits.max_slots) * limits.max_slot_pages),
        parts(static_cast<size_t>(limits.max_batch) * n_logits_chunks(limits.n_vocab)),
        changed_parts(limits.max_slot_pages > 0 ? parts : 0),
        draws(limits.max_batch),
        candidates(draws * kMaxCandidates),
        pieces(draws * n_draw_pieces(limits.n_vocab)),
        results(items * (1 + limits.max_top)),
        upload(upload_bytes(items * sizeof(TokenItem)) + upload_bytes(items * sizeof(int32_t)) +
               upload_bytes(slots * sizeof(StartedSlot)) +
               upload_bytes(limits.n_pages * sizeof(int32_t)) +
               upload_bytes(limits.max_new_changes * sizeof(LogitChange))) {}

  size_t slots, items, changes, slot_pages, parts, changed_parts, draws, candidates, pieces,
      results, upload;
};

// The sum of the n largest.
int64_t sum_of_largest(std::vector<int64_t>& values, int32_t n) {
  if (std::ssize(values) > n) {
    std::nth_element(values.begin(), values.begin() + n, values.end(), std::greater<>());
    values.resize(n);
  }
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  return sum;
}

}  // namespace

int32_t draw_row_blocks(int32_t n_rows, int32_t n_vocab, int32_t n_sms) {
  constexpr int32_t kBlocksPerSm = 8, kWarps = 8;
  const int32_t wanted = (kBlocksPerSm * n_sms + n_rows - 1) / std::max(n_rows, 1);
  return std::clamp(wanted, 1, (n_draw_pieces(n_vocab) + kWarps - 1) / kWarps);
}

SamplerLimits with_demands(SamplerLimits limits, std::span<const SlotDemand> demands) {
  std::vector<int64_t> pages, new_changes;  // of the sequences that have any
  for (const SlotDemand& demand : demands) {
    const SamplingParams& params = *demand.params;
    limits.max_top = std::max(limits.max_top, params.logprobs.value_or(0));
    const ChangeCounts counts = most_changes(params, demand.n_stop_ids, demand.n_prompt_tokens,
                                             demand.max_tokens, limits.n_vocab);
    if (counts.at_end == 0) continue;
    pages.push_back(pages_of(counts.at_end));
    new_changes.push_back(counts.at_start);
    limits.max_slot_pages = std::max(limits.max_slot_pages, pages_of(counts.at_end));
  }
  limits.n_pages = sum_of_largest(pages, limits.max_slots);
  limits.max_new_changes = sum_of_largest(new_changes, limits.max_slots);
  return limits;
}

size_t sampler_device_bytes(const SamplerLimits& limits) {
  const Sizes n(limits);
  return arena_bytes(n.slots * sizeof(SamplerSlot)) + arena_bytes(n.slots * sizeof(int32_t)) +
         arena_bytes(n.changes * sizeof(LogitChange)) +
         arena_bytes(n.slot_pages * sizeof(int32_t)) + arena_bytes(n.parts * sizeof(LogitsPart)) +
         arena_bytes(n.changed_parts * sizeof(LogitsPart)) +
         arena_bytes(n.draws * sizeof(DrawState)) + arena_bytes(n.candidates * sizeof(uint64_t)) +
         arena_bytes(n.pieces * sizeof(unsigned long long)) +
         arena_bytes(n.results * sizeof(TokenResult)) + Sampler::kMaxSteps * arena_bytes(n.upload);
}

size_t sampler_pinned_bytes(const SamplerLimits& limits) {
  const Sizes n(limits);
  return Sampler::kMaxSteps *
         (arena_bytes(n.upload) + arena_bytes(n.results * sizeof(TokenResult)));
}

// Puts arrays end to end into the pinned memory of a step; they have the same places on the device.
class Sampler::Upload {
 public:
  Upload(const Step& step, size_t capacity) : step_(step), capacity_(capacity) {}

  // n elements to write, and where they will be on the device.
  template <class T>
  struct Place {
    T* pinned;
    T* device;
  };
  template <class T>
  Place<T> take(size_t n) {
    const size_t begin = n_bytes_;
    n_bytes_ += upload_bytes(n * sizeof(T));
    CHECK(n_bytes_ <= capacity_);
    return {reinterpret_cast<T*>(step_.pinned + begin), reinterpret_cast<T*>(step_.device + begin)};
  }

  void start_copy(cudaStream_t stream) const {
    if (n_bytes_ == 0) return;
    check_cuda("copy of a step's samples", cudaMemcpyAsync(step_.device, step_.pinned, n_bytes_,
                                                           cudaMemcpyHostToDevice, stream));
  }

 private:
  const Step& step_;
  size_t capacity_;
  size_t n_bytes_ = 0;
};

Sampler::Sampler(const SamplerLimits& limits, DeviceArena& device, PinnedArena& pinned)
    : limits_(limits), slots_(limits.max_slots) {
  CHECK(limits.n_vocab > 0 && limits.n_vocab <= 1 << 23 && limits.max_top <= kMaxTop);
  const Sizes n(limits);
  device_slots_ = device.take<SamplerSlot>(n.slots);
  last_tokens_ = device.take<int32_t>(n.slots);
  pool_ = {device.take<LogitChange>(n.changes), device.take<int32_t>(n.slot_pages),
           limits.max_slot_pages};
  parts_ = device.take<LogitsPart>(n.parts);
  changed_parts_ = device.take<LogitsPart>(n.changed_parts);
  draws_ = device.take<DrawState>(n.draws);
  candidates_ = device.take<uint64_t>(n.candidates);
  piece_masses_ = device.take<unsigned long long>(n.pieces);
  results_ = device.take<TokenResult>(n.results);
  for (Step& step : steps_) {
    step.device = device.take<std::byte>(n.upload);
    step.pinned = pinned.take<std::byte>(n.upload);
    step.pinned_results = pinned.take<TokenResult>(n.results);
  }
  free_pages_.resize(limits.n_pages);
  for (size_t i = 0; i < free_pages_.size(); ++i) free_pages_[i] = static_cast<int32_t>(i);
  new_changes_.reserve(limits.max_new_changes);
}

void Sampler::begin_step(const StepPlan& plan, std::span<const int32_t> place,
                         cudaStream_t stream) {
  CHECK(n_begun_ - n_taken_ < kMaxSteps);
  Step& step = steps_[n_begun_ % kMaxSteps];
  Upload upload(step, Sizes(limits_).upload);
  const StartSlotsArgs starts = write_starts(plan, upload);
  write_items(plan, place, upload, step);
  upload.start_copy(stream);
  check_launch("start_slots", launch_start_slots(starts, stream));
  ++n_begun_;
}

StartSlotsArgs Sampler::write_starts(const StepPlan& plan, Upload& upload) {
  const size_t n_starts = plan.slot_starts.size();
  const auto starts = upload.take<StartedSlot>(n_starts);
  new_changes_.clear();
  int32_t n_pages = 0;
  for (size_t i = 0; i < n_starts; ++i) {
    starts.pinned[i] = start_slot(plan.slot_starts[i]);
    starts.pinned[i].first_page = n_pages;
    n_pages += starts.pinned[i].n_pages;
  }

  const auto pages = upload.take<int32_t>(n_pages);
  int32_t* next_page = pages.pinned;
  for (const SlotStart& start : plan.slot_starts) {
    const std::vector<int32_t>& of_slot = slots_[start.slot].pages;
    next_page = std::copy(of_slot.begin(), of_slot.end(), next_page);
  }
  const auto changes = upload.take<LogitChange>(new_changes_.size());
  std::copy(new_changes_.begin(), new_changes_.end(), changes.pinned);
  return {starts.device,  static_cast<int32_t>(n_starts),
          changes.device, pages.device,
          device_slots_,  pool_};
}

// Appends its changes to new_changes_ and gives it pages.
StartedSlot Sampler::start_slot(const SlotStart& start) {
  CHECK(start.slot >= 0 && start.slot < limits_.max_slots);
  const SamplingParams& params = *start.params;
  StartedSlot started;
  started.slot = start.slot;
  started.first_change = static_cast<int32_t>(new_changes_.size());
  append_changes(start, new_changes_);
  const auto n_changes = static_cast<int32_t>(new_changes_.size()) - started.first_change;
  const bool counts_outputs = has_penalty(params);
  const int32_t max_changes =
      std::min(n_changes + (counts_outputs ? start.max_tokens : 0), limits_.n_vocab);
  started.n_pages = pages_of(max_changes);
  started.state = {start.key,
                   params.temperature,
                   params.top_p,
                   params.min_p,
                   params.top_k,
                   params.repetition_penalty,
                   params.frequency_penalty,
                   params.presence_penalty,
                   params.min_tokens,
                   0,
                   n_changes,
                   max_changes,
                   counts_outputs ? 1 : 0};

  Slot& slot = slots_[start.slot];
  slot.logprobs = params.logprobs;
  slot.draws = params.temperature > 0.0f;
  slot.cuts = slot.draws && (params.top_k > 0 || params.top_p < 1.0f);
  // What the sequence before it had comes back first: so limits_.n_pages are always enough.
  free_pages_.insert(free_pages_.end(), slot.pages.begin(), slot.pages.end());
  CHECK(started.n_pages <= limits_.max_slot_pages && started.n_pages <= std::ssize(free_pages_));
  slot.pages.assign(free_pages_.end() - started.n_pages, free_pages_.end());
  free_pages_.resize(free_pages_.size() - started.n_pages);
  return started;
}

void Sampler::write_items(const StepPlan& plan, std::span<const int32_t> place, Upload& upload,
                          Step& step) {
  step.n_samples = static_cast<int32_t>(plan.samples.size());
  step.n_items = step.n_samples + static_cast<int32_t>(plan.scores.size());
  step.n_top = 0;
  step.has_draws = step.has_cuts = false;
  const auto items = upload.take<TokenItem>(step.n_items);
  const auto rows = upload.take<int32_t>(step.n_items);
  step.items = items.pinned;
  step.device_items = items.device;
  step.device_rows = rows.device;

  TokenItem* next = items.pinned;
  int32_t* next_row = rows.pinned;
  const auto add = [&](TokenItem item, int32_t row, int32_t n_top) {
    CHECK(n_top <= limits_.max_top);
    item.n_top = static_cast<uint8_t>(n_top);
    item.first_top = step.n_top;
    step.n_top += n_top;
    *next++ = item;
    *next_row++ = place.empty() ? row : place[row];
  };
  for (const SampleRow& sample : plan.samples) {
    const Slot& slot = slots_[sample.slot];
    step.has_draws |= slot.draws;
    step.has_cuts |= slot.cuts;
    TokenItem item;
    item.slot = sample.slot;
    item.wants_logprob = slot.logprobs.has_value();
    add(item, sample.row, slot.logprobs.value_or(0));
  }
  for (const ScoreRow& score : plan.scores) {
    TokenItem item;
    item.target = score.target;
    item.is_score = true;
    item.wants_logprob = true;
    add(item, score.row, score.n_top);
  }
}

void Sampler::enqueue(int32_t first_item, int32_t n_rows, float* logits, int64_t stride,
                      cudaStream_t stream) {
  const Step& step = begun();
  CHECK(n_rows <= limits_.max_batch && first_item + n_rows <= step.n_items);
  const TokenItem* items = step.device_items + first_item;
  SamplingArgs args;
  args.logits = logits;
  args.stride = stride;
  args.n_vocab = limits_.n_vocab;
  args.items = items;
  args.n_items = n_rows;
  args.parts = parts_;
  args.changed_parts = changed_parts_;
  args.slots = device_slots_;
  args.last_tokens = last_tokens_;
  args.pool = pool_;
  args.item_results = results_ + first_item;
  args.top_results = results_ + step.n_items;
  args.draws = draws_;
  args.candidates = candidates_;
  args.piece_masses = piece_masses_;
  args.n_row_blocks = draw_row_blocks(n_rows, limits_.n_vocab, limits_.n_sms);

  LogitsPartsArgs parts{logits, stride, limits_.n_vocab, items, n_rows, parts_};
  check_launch("logits_parts", launch_logits_parts(parts, stream));
  if (step.n_top > 0) check_launch("top_tokens", launch_top_tokens(args, stream));
  if (limits_.max_slot_pages > 0) {
    check_launch("change_logits", launch_change_logits(args, stream));
    parts.parts = changed_parts_;
    parts.only_changed = device_slots_;
    check_launch("logits_parts", launch_logits_parts(parts, stream));
  }
  if (step.has_draws) check_launch("weigh_draws", launch_weigh_draws(args, stream));
  if (step.has_cuts) check_launch("keep_draws", launch_keep_draws(args, stream));
  check_launch("sampling", launch_sampling(args, stream));
}

void Sampler::finish_step(cudaStream_t stream) {
  const Step& step = begun();
  const size_t n_bytes = static_cast<size_t>(step.n_items + step.n_top) * sizeof(TokenResult);
  if (n_bytes == 0) return;
  check_cuda("copy of a step's results", cudaMemcpyAsync(step.pinned_results, results_, n_bytes,
                                                         cudaMemcpyDeviceToHost, stream));
}

void Sampler::take_results(StepResult& result) {
  CHECK(n_taken_ < n_begun_);
  const Step& step = steps_[n_taken_++ % kMaxSteps];
  result.samples.clear();
  result.scores.clear();
  const TokenResult* tops = step.pinned_results + step.n_items;
  for (int32_t i = 0; i < step.n_items; ++i) {
    SampledToken token{step.pinned_results[i].id, step.pinned_results[i].logprob, {}};
    const TokenItem& item = step.items[i];
    for (int32_t k = item.first_top; k < item.first_top + item.n_top; ++k) {
      if (tops[k].id != kNoToken) token.top.emplace_back(tops[k].id, tops[k].logprob);
    }
    (i < step.n_samples ? result.samples : result.scores).push_back(std::move(token));
  }
}

}  // namespace prefold::cuda
