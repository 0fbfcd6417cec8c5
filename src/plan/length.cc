#include "plan/length.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace prefold {
namespace {

constexpr int32_t kBucketsPerDoubling = 64;
constexpr int32_t kExactBits = 7;  // lengths below 2^7 have a bucket each
constexpr int32_t kFirstGuess = 128;

// Where a length is counted; above the exact ones, by its leading 7 bits.
int32_t bucket_of(int32_t n_tokens) {
  const int32_t n_bits = static_cast<int32_t>(std::bit_width(static_cast<uint32_t>(n_tokens)));
  const int32_t shift = std::max(n_bits - kExactBits, 0);
  return shift * kBucketsPerDoubling + (n_tokens >> shift);
}

int32_t longest_of(int32_t bucket) {
  const int32_t shift = std::max(bucket / kBucketsPerDoubling - 1, 0);
  return ((bucket - shift * kBucketsPerDoubling + 1) << shift) - 1;
}

}  // namespace

void LengthDistribution::add(int32_t n_tokens, int64_t n_stopped, int64_t n_cut_off) {
  const auto bucket = static_cast<size_t>(bucket_of(std::clamp(n_tokens, 0, kLongest)));
  if (counts_.size() <= bucket) counts_.resize(bucket + 1);
  counts_[bucket].n_stopped += n_stopped;
  counts_[bucket].n_cut_off += n_cut_off;
}

std::optional<int32_t> LengthDistribution::likely_end(int32_t n_sampled) const {
  const auto first = static_cast<size_t>(bucket_of(std::clamp(n_sampled + 1, 0, kLongest)));
  int64_t n_left = 0;  // answers known to be that long at least
  for (size_t i = first; i < counts_.size(); ++i) {
    n_left += counts_[i].n_stopped + counts_[i].n_cut_off;
  }
  if (n_left < kEnough) return std::nullopt;
  double still_going = 1.0;
  for (size_t i = first; i < counts_.size(); ++i) {
    if (counts_[i].n_stopped > 0) {
      still_going *=
          static_cast<double>(n_left - counts_[i].n_stopped) / static_cast<double>(n_left);
    }
    if (still_going <= 0.1 + 1e-9) return longest_of(static_cast<int32_t>(i));
    n_left -= counts_[i].n_stopped + counts_[i].n_cut_off;
  }
  return kLongest;
}

std::vector<LengthBucket> LengthDistribution::buckets() const {
  std::vector<LengthBucket> buckets;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i].n_stopped + counts_[i].n_cut_off == 0) continue;
    buckets.push_back(
        {longest_of(static_cast<int32_t>(i)), counts_[i].n_stopped, counts_[i].n_cut_off});
  }
  return buckets;
}

LengthPredictor::LengthPredictor(LengthsByGroup prior) : prior_(std::move(prior)) {
  observed_.groups.resize(prior_.groups.size());
}

void LengthPredictor::observe(int32_t group, int32_t n_tokens, bool cut_off) {
  observed_.job.add(n_tokens, cut_off ? 0 : 1, cut_off ? 1 : 0);
  if (group != kNoGroup) {
    observed_.groups[group].add(n_tokens, cut_off ? 0 : 1, cut_off ? 1 : 0);
  }
}

int32_t LengthPredictor::predict(int32_t group, int32_t n_sampled, int32_t max_tokens) const {
  if (n_sampled >= max_tokens) return max_tokens;
  std::optional<int32_t> end;
  if (group != kNoGroup) {
    end = observed_.groups[group].likely_end(n_sampled);
    if (!end) end = prior_.groups[group].likely_end(n_sampled);
  }
  if (!end) end = observed_.job.likely_end(n_sampled);
  if (!end) end = prior_.job.likely_end(n_sampled);
  const int64_t likely = end.value_or(static_cast<int32_t>(
      std::min<int64_t>(std::max<int64_t>(kFirstGuess, 2 * int64_t{n_sampled} + 1), max_tokens)));
  return static_cast<int32_t>(std::clamp<int64_t>(likely, n_sampled + 1, max_tokens));
}

}  // namespace prefold
