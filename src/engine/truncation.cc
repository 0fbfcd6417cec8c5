#include "engine/truncation.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/natural_log.h"

namespace prefold {
namespace {

constexpr double kMassUnits = 0x1p40;
constexpr int64_t kSortBelow = 32;  // candidates; a selection by halves gains nothing there

int32_t size_of(std::span<const float> logits) { return static_cast<int32_t>(logits.size()); }

int32_t tile_end(int32_t begin, int32_t n) { return std::min(n - begin, kVocabTile) + begin; }

void append_tile(const VocabKernels& kernels, std::span<const float> logits, int32_t begin,
                 float above, SamplerScratch& scratch) {
  const int32_t n_ids = kernels.collect_above(
      logits.data(), begin, tile_end(begin, size_of(logits)), above, scratch.tile_ids.data());
  for (int32_t i = 0; i < n_ids; ++i) {
    const int32_t id = scratch.tile_ids[i];
    scratch.candidates.push_back({logits[id], id, 0});
  }
}

// Keeps the k best, the last of them at the end.
void shrink_to_best(std::vector<Candidate>& candidates, int32_t k) {
  const auto last = candidates.begin() + std::min<int64_t>(k, std::ssize(candidates)) - 1;
  std::nth_element(candidates.begin(), last, candidates.end(), is_better);
  candidates.erase(last + 1, candidates.end());
}

void cut_after(const Candidate& last, VocabWeights& rule) {
  rule.min_logit = last.logit;
  rule.tie_end = last.id + 1;
}

// Candidates that hold more than top_p of the total weight: a token lighter than
// (1 - top_p) * total / n can be left out, since all such tokens together are lighter than
// 1 - top_p of the total. Half of that leaves room for rounding.
void collect_heavy(const VocabKernels& kernels, std::span<const float> logits, double top_p,
                   double total, const VocabWeights& rule, SamplerScratch& scratch) {
  const double lightest = 0.5 * (1.0 - top_p) * total / static_cast<double>(logits.size());
  const double above = rule.max_logit + rule.temperature * natural_log(lightest);
  scratch.candidates.clear();
  for (int32_t begin = 0; begin < size_of(logits); begin += kVocabTile) {
    append_tile(kernels, logits, begin, static_cast<float>(above), scratch);
  }
}

void weigh(const VocabKernels& kernels, const VocabWeights& rule, SamplerScratch& scratch) {
  // The candidates have passed min_logit and tie_end, which speak of places in the vocabulary.
  VocabWeights weight_only = rule;
  weight_only.min_logit = VocabWeights{}.min_logit;
  std::vector<Candidate>& candidates = scratch.candidates;
  const int32_t n = static_cast<int32_t>(candidates.size());
  float* values = scratch.tile_values.data();
  for (int32_t begin = 0; begin < n; begin += kVocabTile) {
    const int32_t end = tile_end(begin, n);
    for (int32_t i = begin; i < end; ++i) values[i - begin] = candidates[i].logit;
    kernels.weights(values, 0, end - begin, weight_only, values);
    for (int32_t i = begin; i < end; ++i) {
      candidates[i].mass = static_cast<uint64_t>(values[i - begin] * kMassUnits);
    }
  }
}

// The last of the fewest best candidates whose masses reach `needed`: a selection by mass, which
// halves the range that holds the boundary as nth_element does.
Candidate boundary_by_mass(std::vector<Candidate>& candidates, uint64_t needed) {
  auto begin = candidates.begin();
  auto end = candidates.end();
  uint64_t mass = 0;  // of all before begin; less than needed
  while (end - begin > kSortBelow) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, is_better);
    uint64_t half = 0;
    for (auto c = begin; c != middle; ++c) half += c->mass;
    if (mass + half >= needed) {
      end = middle;
    } else {
      mass += half;
      begin = middle;
    }
  }
  std::sort(begin, end, is_better);
  for (; begin != end - 1; ++begin) {
    mass += begin->mass;
    if (mass >= needed) break;
  }
  return *begin;
}

}  // namespace

SamplerScratch::SamplerScratch(int32_t n_vocab) {
  candidates.reserve(n_vocab);
  tile_sums.reserve((n_vocab + kVocabTile - 1) / kVocabTile);
}

std::span<Candidate> find_best(const VocabKernels& kernels, std::span<const float> logits,
                               int32_t k, SamplerScratch& scratch) {
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  float above = VocabWeights{}.min_logit;
  for (int32_t begin = 0; begin < size_of(logits); begin += kVocabTile) {
    append_tile(kernels, logits, begin, above, scratch);
    if (std::ssize(candidates) < 2 * int64_t{k}) continue;
    // A later token with the logit of the k-th best loses the tie, so only higher ones matter.
    shrink_to_best(candidates, k);
    above = candidates.back().logit;
  }
  if (!candidates.empty()) shrink_to_best(candidates, k);
  return candidates;
}

double total_weight(const VocabKernels& kernels, std::span<const float> logits,
                    const VocabWeights& rule, SamplerScratch& scratch) {
  scratch.tile_sums.resize((logits.size() + kVocabTile - 1) / kVocabTile);
  kernels.tile_sums(logits.data(), size_of(logits), rule, scratch.tile_sums.data());
  double total = 0.0;
  for (const float sum : scratch.tile_sums) total += sum;
  return total;
}

void truncate(const VocabKernels& kernels, std::span<const float> logits, int32_t top_k,
              float top_p, VocabWeights& rule, SamplerScratch& scratch) {
  const bool has_top_k = top_k > 0 && top_k < size_of(logits);
  if (has_top_k) cut_after(find_best(kernels, logits, top_k, scratch).back(), rule);
  if (!(top_p < 1.0f)) return;

  const double total = total_weight(kernels, logits, rule, scratch);
  if (!has_top_k) collect_heavy(kernels, logits, top_p, total, rule, scratch);
  weigh(kernels, rule, scratch);
  const double needed = std::ceil(std::max(top_p, 0.0f) * total * kMassUnits);
  cut_after(boundary_by_mass(scratch.candidates, static_cast<uint64_t>(needed)), rule);
}

int32_t draw(const VocabKernels& kernels, std::span<const float> logits, const VocabWeights& rule,
             double u, SamplerScratch& scratch) {
  const double target = u * total_weight(kernels, logits, rule, scratch);
  const std::vector<float>& sums = scratch.tile_sums;
  int32_t tile = -1;
  double before = 0.0;  // weight of the tiles before `tile`
  double sum = 0.0;
  for (size_t t = 0; t < sums.size() && sum <= target; ++t) {
    if (sums[t] == 0.0f) continue;
    tile = static_cast<int32_t>(t);
    before = sum;
    sum += sums[t];
  }
  CHECK(tile >= 0);

  const int32_t begin = tile * kVocabTile;
  const int32_t end = tile_end(begin, size_of(logits));
  float* weights = scratch.tile_values.data();
  kernels.weights(logits.data(), begin, end, rule, weights);
  // The tile's sum over lanes and this one may round differently: past the end, the last token that
  // has weight is taken.
  int32_t chosen = begin;
  double running = before;
  for (int32_t id = begin; id < end; ++id) {
    if (weights[id - begin] == 0.0f) continue;
    chosen = id;
    running += weights[id - begin];
    if (running > target) break;
  }
  return chosen;
}

}  // namespace prefold
