#include "plan/length.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"

namespace prefold {
namespace {

constexpr int32_t kBucketsPerDoubling = 64;
constexpr int32_t kExactBits = 7;  // lengths below 2^7 have a bucket each
constexpr int32_t kFirstGuess = 128;
constexpr double kNothing = 1e-9;  // a share that is rounding
// What all answers tell about the rate of stopping counts as so many of those that were longer.
constexpr double kPriorStops = 4.0;

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

// on_end(length, share): this share ends with that length; false leaves the rest alone.
template <typename Fn>
LengthDistribution::Survival LengthDistribution::survival(int32_t n_sampled, int32_t max_tokens,
                                                          Fn&& on_end) const {
  const auto first = static_cast<size_t>(bucket_of(std::clamp(n_sampled + 1, 0, kLongest)));
  int64_t n_left = 0;
  double n_stopped = 0, n_tokens = 0;               // of those that were longer, beyond n_sampled
  double all_stopped = kNothing, all_tokens = 0.0;  // of all answers
  for (size_t i = 0; i < counts_.size(); ++i) {
    const int64_t n = counts_[i].n_stopped + counts_[i].n_cut_off;
    const double length = longest_of(static_cast<int32_t>(i));
    all_stopped += static_cast<double>(counts_[i].n_stopped);
    all_tokens += static_cast<double>(n) * length;
    if (i < first) continue;
    n_left += n;
    n_stopped += static_cast<double>(counts_[i].n_stopped);
    n_tokens += static_cast<double>(n) * (length - n_sampled);
  }
  Survival left;
  left.known_to = n_sampled;
  left.mean_rest = (n_tokens + kPriorStops * all_tokens / all_stopped) / (n_stopped + kPriorStops);
  for (size_t i = first; i < counts_.size() && n_left > 0; ++i) {
    if (counts_[i].n_stopped > 0) {
      const double share =
          left.share * static_cast<double>(counts_[i].n_stopped) / static_cast<double>(n_left);
      left.known_to = std::min(longest_of(static_cast<int32_t>(i)), max_tokens);
      left.share -= share;
      on_end(left.known_to, share);
    }
    n_left -= counts_[i].n_stopped + counts_[i].n_cut_off;
  }
  if (left.share < kNothing) left.share = 0;
  return left;
}

double LengthDistribution::mean_end(int32_t n_sampled, int32_t max_tokens) const {
  double mean = 0;
  const Survival left =
      survival(n_sampled, max_tokens, [&](double length, double share) { mean += share * length; });
  return mean + left.share * std::min<double>(left.known_to + left.mean_rest, max_tokens);
}

double LengthDistribution::end_of_all_but(double share, int32_t n_sampled,
                                          int32_t max_tokens) const {
  double going_on = 1.0, end = -1;
  const Survival left = survival(n_sampled, max_tokens, [&](double length, double ends) {
    going_on -= ends;
    if (end < 0 && going_on <= share + kNothing) end = length;
  });
  if (end >= 0) return end;
  return std::min<double>(left.known_to + left.mean_rest * std::log(left.share / share),
                          max_tokens);
}

int64_t LengthDistribution::n_answers() const {
  int64_t n = 0;
  for (const Counts& counts : counts_) n += counts.n_stopped + counts.n_cut_off;
  return n;
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
