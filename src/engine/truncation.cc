#include "engine/truncation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "engine/natural_log.h"

namespace prefold {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kMassUnits = 0x1p40;
constexpr int64_t kSortBelow = 32;  // candidates; a selection by halves gains nothing there

int32_t size_of(std::span<const float> logits) { return static_cast<int32_t>(logits.size()); }

int32_t tile_end(int32_t begin, int32_t n) { return std::min(n - begin, kVocabTile) + begin; }

void shrink_to_best(TopList& list) {
  if (std::ssize(list.tokens) <= list.k) return;
  const auto last = list.tokens.begin() + list.k - 1;
  std::nth_element(list.tokens.begin(), last, list.tokens.end(), is_better<TokenLogit>);
  list.tokens.erase(last + 1, list.tokens.end());
  // An equal logit may have a lower id.
  list.above = std::nextafter(last->logit, -kInfinity);
}

uint64_t mass_of(std::span<const Candidate> candidates) {
  uint64_t mass = 0;
  for (const Candidate& c : candidates) mass += c.mass;
  return mass;
}

void weigh(const VocabKernels& kernels, const VocabWeights& rule, SamplerScratch& scratch) {
  std::vector<Candidate>& candidates = scratch.candidates;
  const int32_t n = static_cast<int32_t>(candidates.size());
  float* values = scratch.tile_values.data();
  for (int32_t begin = 0; begin < n; begin += kVocabTile) {
    const int32_t end = tile_end(begin, n);
    for (int32_t i = begin; i < end; ++i) values[i - begin] = candidates[i].logit;
    kernels.weights(values, end - begin, rule, values);
    for (int32_t i = begin; i < end; ++i) {
      candidates[i].mass = static_cast<uint64_t>(values[i - begin] * kMassUnits);
    }
  }
}

// The fewest first candidates of an order whose masses reach `needed` (all, if they do not), the
// last of them at the end: a selection by mass, which halves the range that holds the boundary as
// nth_element does. The candidates change places.
template <typename Order>
std::span<Candidate> first_by_mass(std::span<Candidate> candidates, uint64_t needed, Order order) {
  auto begin = candidates.begin();
  auto end = candidates.end();
  uint64_t mass = 0;  // of all before begin; less than needed
  while (end - begin > kSortBelow) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, order);
    const uint64_t half = mass_of({begin, middle});
    if (mass + half >= needed) {
      end = middle;
    } else {
      mass += half;
      begin = middle;
    }
  }
  std::sort(begin, end, order);
  for (; begin != end; ++begin) {
    mass += begin->mass;
    if (mass >= needed) return {candidates.begin(), begin + 1};
  }
  return {candidates.begin(), end};
}

uint64_t mass_needed(float top_p, double total_mass) {
  return static_cast<uint64_t>(std::ceil(std::max(top_p, 0.0f) * total_mass));
}

int32_t draw_by_mass(std::span<Candidate> candidates, double u) {
  const uint64_t total = mass_of(candidates);
  CHECK(total > 0);
  const auto target = static_cast<uint64_t>(u * static_cast<double>(total));
  const auto by_id = [](const Candidate& a, const Candidate& b) { return a.id < b.id; };
  return first_by_mass(candidates, std::min(target, total - 1) + 1, by_id).back().id;
}

// Sum of all weights: tiles in index order, in double.
double total_weight(const VocabKernels& kernels, std::span<const float> logits,
                    const VocabWeights& rule, SamplerScratch& scratch) {
  scratch.tile_sums.resize((logits.size() + kVocabTile - 1) / kVocabTile);
  kernels.tile_sums(logits.data(), size_of(logits), rule, scratch.tile_sums.data());
  double total = 0.0;
  for (const float sum : scratch.tile_sums) total += sum;
  return total;
}

void collect_candidates(const VocabKernels& kernels, std::span<const float> logits, double above,
                        SamplerScratch& scratch) {
  // Rounded down: a token that is lighter than asked for does no harm, a missing one does.
  const float above_f32 = std::nextafter(static_cast<float>(above), -kInfinity);
  scratch.candidates.clear();
  for (int32_t begin = 0; begin < size_of(logits); begin += kVocabTile) {
    const int32_t n_ids = kernels.collect_above(
        logits.data(), begin, tile_end(begin, size_of(logits)), above_f32, scratch.tile_ids.data());
    for (int32_t i = 0; i < n_ids; ++i) {
      const int32_t id = scratch.tile_ids[i];
      scratch.candidates.push_back({logits[id], id, 0});
    }
  }
}

// The fewest best tokens that hold top_p of the weight. Candidates are those of some weight, ever
// lighter ones until they hold enough. They do at (1 - top_p) * total / n, since all tokens lighter
// than that hold less than 1 - top_p together; half of it leaves room for rounding.
std::span<Candidate> best_by_mass(const VocabKernels& kernels, std::span<const float> logits,
                                  const VocabWeights& rule, float top_p, SamplerScratch& scratch) {
  constexpr double kFirstShare = 1.0 / 128;
  constexpr double kNextShare = 1.0 / 16;
  const double total = total_weight(kernels, logits, rule, scratch);
  const uint64_t needed = mass_needed(top_p, total * kMassUnits);
  const double rest = (1.0 - top_p) * total;
  const double lightest = 0.5 * rest / static_cast<double>(logits.size());
  double weight = std::min(rest * kFirstShare, 0.5);
  for (;; weight *= kNextShare) {
    weight = std::max(weight, lightest);
    const double above = rule.max_logit + rule.temperature * natural_log(weight);
    collect_candidates(kernels, logits, above, scratch);
    weigh(kernels, rule, scratch);
    if (mass_of(scratch.candidates) >= needed || weight == lightest) break;
  }
  return first_by_mass(scratch.candidates, needed, is_better<Candidate>);
}

int32_t draw_by_tiles(const VocabKernels& kernels, std::span<const float> logits,
                      const VocabWeights& rule, double u, SamplerScratch& scratch) {
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
  kernels.weights(logits.data() + begin, end - begin, rule, weights);
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

}  // namespace

SamplerScratch::SamplerScratch(int32_t n_vocab) {
  candidates.reserve(n_vocab);
  tile_sums.reserve((n_vocab + kVocabTile - 1) / kVocabTile);
}

void start_list(int32_t k, TopList& list) {
  list.k = k;
  list.above = -kInfinity;
  list.tokens.clear();
}

void show_logits(const VocabKernels& kernels, std::span<const float> logits, int32_t first_id,
                 SamplerScratch& scratch, TopList& list) {
  for (int32_t begin = 0; begin < size_of(logits); begin += kVocabTile) {
    const int32_t end = tile_end(begin, size_of(logits));
    const float highest = kernels.highest(logits.data() + begin, end - begin);
    if (!(highest > list.above)) continue;
    // Few tiles of a row come this far.
    if (list.k == 1) list.above = std::nextafter(highest, -kInfinity);
    const int32_t n_ids =
        kernels.collect_above(logits.data(), begin, end, list.above, scratch.tile_ids.data());
    for (int32_t i = 0; i < n_ids; ++i) {
      const int32_t at = scratch.tile_ids[i];
      list.tokens.push_back({logits[at], first_id + at});
    }
    if (std::ssize(list.tokens) >= 2 * int64_t{list.k}) shrink_to_best(list);
  }
}

void merge_list(const TopList& other, TopList& list) {
  list.tokens.insert(list.tokens.end(), other.tokens.begin(), other.tokens.end());
}

void finish_list(TopList& list) {
  shrink_to_best(list);
  std::sort(list.tokens.begin(), list.tokens.end(), is_better<TokenLogit>);
}

int32_t draw_from_best(const VocabKernels& kernels, std::span<const TokenLogit> best,
                       const VocabWeights& rule, float top_p, double u, SamplerScratch& scratch) {
  scratch.candidates.clear();
  for (const TokenLogit& token : best) scratch.candidates.push_back({token.logit, token.id, 0});
  weigh(kernels, rule, scratch);
  std::span<Candidate> kept = scratch.candidates;
  if (top_p < 1.0f) {
    const uint64_t needed = mass_needed(top_p, static_cast<double>(mass_of(kept)));
    kept = first_by_mass(kept, needed, is_better<Candidate>);
  }
  return draw_by_mass(kept, u);
}

int32_t draw_from_row(const VocabKernels& kernels, std::span<const float> logits,
                      const VocabWeights& rule, float top_p, double u, SamplerScratch& scratch) {
  if (!(top_p < 1.0f)) return draw_by_tiles(kernels, logits, rule, u, scratch);
  return draw_by_mass(best_by_mass(kernels, logits, rule, top_p, scratch), u);
}

}  // namespace prefold
