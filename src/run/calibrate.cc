#include "run/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <numeric>
#include <vector>

#include "base/timer.h"
#include "engine/kv_storage.h"
#include "model/rope.h"
#include "model/transformer.h"

namespace prefold {
namespace {

constexpr double kAttentionLimitS = 0.25;
constexpr double kLayerLimitS = 0.5;
constexpr int32_t kMaxRounds = 7;

// Attention is timed over segments of two lengths, in tiles; the difference is that of the tiles.
// They are short and read again and again, so that they are in the caches: so are those that
// several members read one after the other, and what the first reading costs, both ways of reading
// pay.
constexpr int32_t kShortTiles = 2;
constexpr int32_t kLongTiles = 8;
constexpr int kReadings = 4;
constexpr int32_t kMemberCounts[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96};

constexpr int32_t kRowCounts[] = {1, 4, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024};
constexpr int32_t kSampleCounts[] = {1, 4, 16, 64};
constexpr int32_t kRowsPerPrompt = 128;

constexpr double kUnknown = std::numeric_limits<double>::infinity();

// A byte that stands for small ordinary numbers in every KV type.
constexpr int kKvByte = 0x3c;

// What this process has used of the processors since the start.
class UsedTime {
 public:
  explicit UsedTime(const Device& device) : n_threads_(device.pool->n_threads()) {}

  // Seconds a thread; but with others at the processors at least a quarter of those by the clock.
  double seconds() const { return std::max(processor_s(), 0.25 * timer_.seconds()); }
  // Of n_threads processors.
  double share() const { return processor_s() / timer_.seconds(); }

 private:
  double processor_s() const {
    return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC / n_threads_;
  }

  int32_t n_threads_;
  std::clock_t start_ = std::clock();
  Timer timer_;
};

// Steps whose attention is timed: some groups, so that every thread has work, of sequences that
// decode one row each behind a prefix that their group shares.
class AttentionTimer {
 public:
  AttentionTimer(const Device& device, const ModelConfig& model, KvType kv_type)
      : device_(device),
        model_(model),
        n_group_(model.n_heads / model.n_kv_heads),
        n_groups_(4 * device.pool->n_threads() / model.n_kv_heads + 1),
        max_members_(kMaxWalkRows / n_group_),
        kv_({kv_type, 1, model.n_kv_heads, model.head_dim}, n_groups_ * kLongTiles + 1) {
    const int32_t max_rows = n_groups_ * max_members_;
    q_.assign(static_cast<size_t>(max_rows) * q_cols(), 0.01f);
    out_.resize(q_.size());
    scratch_.resize(attention_scratch_bytes(device, max_rows, model.n_heads, model.head_dim));
    // Pages that were never written would all be one page of zeros.
    std::memset(kv_.layer(0).k, kKvByte, kv_bytes_per_block(kv_.shape()) * kv_.n_blocks());
  }

  AttentionCosts measure() {
    std::vector<int32_t> counts;
    for (const int32_t n : kMemberCounts) {
      if (n < max_members_) counts.push_back(n);
    }
    counts.push_back(max_members_);
    std::vector<double> long_s(counts.size(), kUnknown);
    std::vector<double> short_s = long_s;
    const int32_t pair = std::min(2, max_members_);
    double pair_s = kUnknown, flat_pair_s = kUnknown;
    // All in turn, so that what else the machine does falls on all alike.
    const UsedTime used(device_);
    for (int32_t round = 0; round < kMaxRounds && used.seconds() < kAttentionLimitS; ++round) {
      for (size_t i = 0; i < counts.size(); ++i) {
        long_s[i] = std::min(long_s[i], seconds(counts[i], kLongTiles, true));
        short_s[i] = std::min(short_s[i], seconds(counts[i], kShortTiles, true));
      }
      pair_s = std::min(pair_s, seconds(pair, 1, true));
      flat_pair_s = std::min(flat_pair_s, seconds(pair, 1, false));
    }
    AttentionCosts costs;
    double least = 1.0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const double n_tiles = static_cast<double>(n_groups_) * (kLongTiles - kShortTiles);
      // More pairs never cost less: what says so is noise.
      least = std::max(least, 1e9 * (long_s[i] - short_s[i]) / n_tiles);
      costs.tile_ns.push_back({counts[i] * n_group_, least});
    }
    // A tile read once for both members of a segment, against once by each: the rest is what the
    // segment itself costs.
    const double tiles_ns = tile_ns(costs, pair * n_group_) - pair * tile_ns(costs, n_group_);
    costs.segment_ns = std::max(0.0, 1e9 * (pair_s - flat_pair_s) / n_groups_ - tiles_ns);
    return costs;
  }

 private:
  int32_t q_cols() const { return model_.n_heads * model_.head_dim; }

  double seconds(int32_t n_members, int32_t n_tiles, bool share) {
    std::vector<RowSpan> spans;
    std::vector<int32_t> block_ids;
    std::vector<SharedSegment> segments;
    for (int32_t group = 0; group < n_groups_; ++group) {
      const int32_t first_span = static_cast<int32_t>(spans.size());
      for (int32_t i = 0; i < n_members; ++i) {
        const int32_t row = static_cast<int32_t>(spans.size());
        spans.push_back({row, 1, n_tiles * kKvBlockTokens, static_cast<int32_t>(block_ids.size()),
                         n_tiles + 1});
        for (int32_t tile = 0; tile < n_tiles; ++tile)
          block_ids.push_back(group * kLongTiles + tile);
        block_ids.push_back(n_groups_ * kLongTiles);  // one for all: it is only read
      }
      // A lone sequence reads its prefix itself.
      if (share && n_members > 1) segments.push_back({0, n_tiles, first_span, n_members});
    }
    const int32_t n_rows = static_cast<int32_t>(spans.size());
    const auto read = [&] {
      attention(device_, {q_.data(), n_rows, q_cols(), q_cols()}, kv_.layer(0), spans, block_ids,
                segments, {0.1f, model_.attention_softcap, 0}, scratch_,
                {out_.data(), n_rows, q_cols(), q_cols()});
    };
    read();
    const Timer timer;
    for (int i = 0; i < kReadings; ++i) read();
    return timer.seconds() / kReadings;
  }

  const Device& device_;
  const ModelConfig& model_;
  int32_t n_group_;
  int32_t n_groups_;
  int32_t max_members_;
  KvStorage kv_;
  AlignedVector<float> q_, out_;
  AlignedVector<std::byte> scratch_;
};

int32_t rows_that_fit(const Device& device, const ModelConfig& model, const Weights& weights,
                      int64_t max_bytes) {
  constexpr int32_t kFew = 64, kMore = 128;
  const auto few = static_cast<int64_t>(allocate_workspace(device, model, weights, kFew).bytes());
  const auto more = static_cast<int64_t>(allocate_workspace(device, model, weights, kMore).bytes());
  const int64_t per_row = std::max<int64_t>((more - few) / (kMore - kFew), 1);
  return static_cast<int32_t>(
      std::clamp<int64_t>((max_bytes - few) / per_row, kMore, std::end(kRowCounts)[-1]));
}

// What counts of kLineFrom and more take is a line, whose slope is the median of those between any
// two of them (Theil and Sen): a step's rows cost alike, and its fixed costs are there once. So a
// disturbance that falls on some of the points does not decide how long steps are. More never costs
// less.
CostCurve smooth(CostCurve points) {
  constexpr int32_t kLineFrom = 64;
  const auto line = std::find_if(points.begin(), points.end(),
                                 [](const CostPoint& point) { return point.n >= kLineFrom; });
  const auto middle = [](std::vector<double>& values) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), at, values.end());
    return *at;
  };
  std::vector<double> slopes, fixed;
  for (auto a = line; a != points.end(); ++a) {
    for (auto b = a + 1; b != points.end(); ++b) slopes.push_back((b->ns - a->ns) / (b->n - a->n));
  }
  if (!slopes.empty()) {
    const double slope = std::max(0.0, middle(slopes));
    for (auto a = line; a != points.end(); ++a) fixed.push_back(a->ns - slope * a->n);
    const double intercept = std::max(0.0, middle(fixed));
    for (auto a = line; a != points.end(); ++a) a->ns = intercept + slope * a->n;
  }
  double least = 1.0;
  for (CostPoint& point : points) least = point.ns = std::max(least, point.ns);
  return points;
}

// One layer's forward pass over packed prompts, and the LM head.
class LayerTimer {
 public:
  LayerTimer(const Device& device, const ModelConfig& model, const Weights& weights, KvType kv_type,
             int64_t max_workspace_bytes)
      : device_(device),
        model_(model),
        weights_(weights),
        max_rows_(rows_that_fit(device, model, weights, max_workspace_bytes)),
        rope_tables_(make_rope_tables(model, kRowsPerPrompt, kRowsPerPrompt)),
        kv_({kv_type, 1, model.n_kv_heads, model.head_dim}, max_rows_ / kKvBlockTokens + 1),
        workspace_(allocate_workspace(device, model, weights, max_rows_)) {
    model_.n_layers = 1;
    for (int32_t row = 0; row < max_rows_; ++row) {
      token_ids_.push_back(row % model.vocab_size);
      positions_.push_back(row % kRowsPerPrompt);
      all_rows_.push_back(row);
    }
    block_ids_.resize(kv_.n_blocks());
    std::iota(block_ids_.begin(), block_ids_.end(), 0);
  }

  void measure(CostModel& costs) {
    std::vector<double> layer_s(std::size(kRowCounts), kUnknown);
    std::vector<double> sample_s(std::size(kSampleCounts), kUnknown);
    layer_seconds(kRowCounts[0]);  // warms up
    const UsedTime used(device_);
    for (int32_t round = 0; round < kMaxRounds && used.seconds() < kLayerLimitS; ++round) {
      for (size_t i = 0; i < sample_s.size(); ++i) {
        if (!fits(used, i == 0 ? 0 : 4 * sample_s[i - 1])) break;
        sample_s[i] = std::min(sample_s[i], sample_seconds(kSampleCounts[i]));
      }
      for (size_t i = 0; i < layer_s.size() && kRowCounts[i] <= max_rows_; ++i) {
        if (!fits(used, i == 0 ? 0 : 1.5 * layer_s[i - 1])) break;
        layer_s[i] = std::min(layer_s[i], layer_seconds(kRowCounts[i]));
      }
    }
    costs.layer_ns = curve(kRowCounts, layer_s);
    costs.sample_ns = curve(kSampleCounts, sample_s);
  }

 private:
  // Whether there is time for what takes about that long.
  static bool fits(const UsedTime& used, double seconds) {
    return used.seconds() + seconds < kLayerLimitS;
  }

  double layer_seconds(int32_t n_rows) {
    std::vector<RowSpan> spans;
    for (int32_t row = 0; row < n_rows; row += kRowsPerPrompt) {
      const int32_t n = std::min(kRowsPerPrompt, n_rows - row);
      spans.push_back({row, n, 0, row / kKvBlockTokens, (n + kKvBlockTokens - 1) / kKvBlockTokens});
    }
    const auto first = [n_rows](const std::vector<int32_t>& all) {
      return std::span<const int32_t>(all).first(n_rows);
    };
    const std::array<KvLayer, 1> layers{kv_.layer(0)};
    OpTimes times;
    const Timer timer;
    hidden_ =
        forward(device_, model_, weights_, rope_tables_,
                {first(token_ids_), first(positions_), spans, block_ids_, {}, {}, first(all_rows_)},
                layers, workspace_, times);
    return timer.seconds() - times.attention;
  }

  double sample_seconds(int32_t n_rows) {
    OpTimes times;
    const std::vector<int32_t> rows(n_rows, 0);
    const Timer timer;
    logits_of_rows(
        device_, model_, weights_, hidden_, rows, {}, workspace_, [](const LinearTile&, int32_t) {},
        times);
    return timer.seconds();
  }

  // The first point has always been measured.
  template <size_t n>
  static CostCurve curve(const int32_t (&counts)[n], const std::vector<double>& seconds) {
    CostCurve points;
    for (size_t i = 0; i < n && seconds[i] < kUnknown; ++i) {
      points.push_back({counts[i], 1e9 * seconds[i]});
    }
    return smooth(points);
  }

  const Device& device_;
  ModelConfig model_;  // of one layer
  const Weights& weights_;
  int32_t max_rows_;
  std::vector<RopeTable> rope_tables_;
  KvStorage kv_;
  Workspace workspace_;
  ConstRows hidden_;
  std::vector<int32_t> token_ids_, positions_, block_ids_, all_rows_;
};

}  // namespace

MeasuredCosts measure_costs(const Device& device, const ModelConfig& model, const Weights& weights,
                            KvType kv_type, int64_t max_workspace_bytes) {
  MeasuredCosts costs;
  const UsedTime used(device);
  costs.model.attention = AttentionTimer(device, model, kv_type).measure();
  LayerTimer(device, model, weights, kv_type, max_workspace_bytes).measure(costs.model);
  costs.processor_share = used.share();
  return costs;
}

}  // namespace prefold
