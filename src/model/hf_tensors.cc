#include "model/hf_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "model/gguf.h"
#include "model/hf_cut.h"
#include "model/hf_names.h"
#include "model/hf_presence.h"
#include "model/model_tensors.h"

namespace prefold {
namespace {

using Use = TensorUse;

class TensorReader {
 public:
  TensorReader(const std::string& path, const HfModel& model, const HfQuantization& quantization,
               const std::vector<HfFile>& files)
      : path_(path), model_(model), config_(model.config), quantization_(quantization) {
    for (const HfFile& file : files) mapped_.push_back(file.mapped);
  }

  void add(const SafetensorsEntry& entry, int32_t file) {
    if (model_.has_other_parts && is_of_other_part(entry.name)) return;
    std::string_view name = without_prefixes(entry.name);
    Place place;
    place.source = entry.name;
    const NameTable table = names_of(model_.names);
    std::span<const NameRule> rules = table.globals;
    if (name.starts_with(table.layer_prefix)) {
      name.remove_prefix(table.layer_prefix.size());
      place.layer = take_number(name);
      if (place.layer < 0 || place.layer >= config_.n_layers) return throw_no_place(entry.name);
      rules = table.layers;
    }
    // Buffers, and experts in one tensor, are known by their whole name.
    if (find_rule(rules, name, place) && place.use == Use::kDropped) return;
    const std::string_view ending =
        place.use == Use::kExpertsGateUp || place.use == Use::kExpertsDown ? "weight"
                                                                           : take_ending(name);
    if (!find_rule(rules, name, place)) return throw_no_place(entry.name);
    if (place.use == Use::kDropped) return;
    place.suffix = ending == "bias" ? "bias" : "weight";
    if (config_.tied_embeddings && place.ours == "output" && place.suffix == "weight") return;
    if (ending == "weight" || ending == "bias") {
      place_tensor(place, plain_tensor(entry, file));
    } else if (!ending.empty() && quantization_.is_quantised) {
      add_quantised(place, ending, entry, file);
    } else {
      throw_no_place(entry.name);
    }
  }

  std::vector<StoredTensor> finish() && {
    for (const auto& [source, pending] : quantised_) {
      Place place = pending.place;
      place.suffix = "weight";
      place_tensor(place, make_int4_tensor(path_, source, pending.parts, quantization_, mapped_,
                                           input_orders_));
    }
    put_head_norms();
    return std::move(tensors_);
  }

 private:
  // Where a stored tensor belongs.
  struct Place {
    std::string source;   // its own name
    int32_t layer = -1;   // -1: of the whole model
    int32_t number = -1;  // of the expert, or of the head
    std::string_view ours;
    Use use = Use::kPlain;
    std::string_view suffix;
  };
  struct HeadNorms {
    Place place;                      // of one of them
    std::vector<StoredTensor> heads;  // without names: not there yet
  };
  struct Quantised {
    Place place;
    QuantisedParts parts;
  };

  [[noreturn]] void throw_tensor(std::string_view name, const std::string& message) const {
    throw FormatError(fmt::format("{}: tensor \"{}\" {}", path_, printable(name), message));
  }
  void throw_no_place(std::string_view name) const {
    throw_tensor(name, fmt::format("has no place in a {} model of {} layers", config_.architecture,
                                   config_.n_layers));
  }

  static bool find_rule(std::span<const NameRule> rules, std::string_view name, Place& place) {
    const NameRule* rule = prefold::find_rule(rules, name, place.number);
    if (rule == nullptr) return false;
    place.ours = rule->ours;
    place.use = rule->use;
    return true;
  }

  StoredTensor plain_tensor(const SafetensorsEntry& entry, int32_t file) const {
    const std::optional<TensorType> type = float_tensor_type(entry.type);
    if (!type) {
      throw_tensor(entry.name, fmt::format("is of type {}, which is not supported (F32, F16 and "
                                           "BF16 are, and 4-bit GPTQ and AWQ checkpoints)",
                                           name_of(entry.type)));
    }
    StoredTensor tensor;
    tensor.type = *type;
    tensor.shape = entry.shape;
    tensor.file = file;
    tensor.offset = entry.offset;
    tensor.n_bytes = entry.n_bytes;
    return tensor;
  }

  void add_quantised(const Place& place, std::string_view ending, const SafetensorsEntry& entry,
                     int32_t file) {
    const std::string matrix = place.source.substr(0, place.source.size() - ending.size() - 1);
    Quantised& of = quantised_[matrix];
    of.place = place;
    const auto set = [&](const SafetensorsEntry*& part, int32_t& part_file) {
      part = &entry;
      part_file = file;
    };
    if (ending == "qweight") set(of.parts.quants, of.parts.quants_file);
    if (ending == "qzeros") set(of.parts.zeros, of.parts.zeros_file);
    if (ending == "scales") set(of.parts.scales, of.parts.scales_file);
    if (ending == "g_idx") set(of.parts.group_idx, of.parts.group_idx_file);
  }

  std::string canonical(const Place& place, std::string_view ours) const {
    if (place.layer < 0) return fmt::format("{}.{}", ours, place.suffix);
    if (is_of_expert(place)) return expert_tensor(place.layer, ours, place.number);
    return layer_tensor(place.layer, ours, place.suffix);
  }

  static bool is_of_expert(const Place& place) {
    return place.use == Use::kExpert || place.use == Use::kExpertsGateUp ||
           place.use == Use::kExpertsDown;
  }

  static bool takes_input_order(const Place& place, std::string_view ours) {
    constexpr std::string_view kMatrices[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                              "ffn_gate", "ffn_up", "ffn_down"};
    return place.layer >= 0 && !is_of_expert(place) &&
           std::find(std::begin(kMatrices), std::end(kMatrices), ours) != std::end(kMatrices);
  }

  void put(const Place& place, std::string_view ours, StoredTensor tensor) {
    const bool is_reordered = tensor.int4 != nullptr && tensor.int4->input_order != nullptr;
    if (is_reordered && !takes_input_order(place, ours)) {
      throw_tensor(tensor.name + ".g_idx",
                   "is not sorted (\"desc_act\"): supported in attention and dense feed-forward "
                   "blocks only");
    }
    tensor.name = canonical(place, ours);
    if (model_.norms_plus_one && ours.ends_with("_norm") && place.suffix == "weight") {
      tensor.transform = TensorTransform::kPlusOne;
    }
    if (!sources_.emplace(tensor.name, place.source).second) {
      throw_tensor(place.source, fmt::format("and \"{}\" are the same tensor twice",
                                             printable(sources_[tensor.name])));
    }
    tensors_.push_back(std::move(tensor));
  }

  void place_tensor(const Place& place, StoredTensor tensor) {
    const int64_t q = int64_t{config_.n_heads} * config_.head_dim;
    const int64_t kv = int64_t{config_.n_kv_heads} * config_.head_dim;
    const bool is_matrix = place.suffix == "weight";
    switch (place.use) {
      case Use::kPlain:
      case Use::kExpert:
        return put(place, place.ours, std::move(tensor));
      case Use::kHeadNorm:
        return add_head_norm(place, std::move(tensor));
      case Use::kPostAttention:
        return put(place, config_.has_post_norm ? "post_attention_norm" : "ffn_norm",
                   std::move(tensor));
      case Use::kConv1d:
        if (!is_matrix) return put(place, place.ours, std::move(tensor));
        return put(place, place.ours, columns(place, tensor, 0, output_size(place.ours)));
      case Use::kQkv:
      case Use::kQkvConv1d:
        check_outputs(place, tensor, q + 2 * kv, place.use == Use::kQkvConv1d && is_matrix);
        put(place, "attn_q", part_of(place, tensor, 0, q));
        put(place, "attn_k", part_of(place, tensor, q, kv));
        return put(place, "attn_v", part_of(place, tensor, q + kv, kv));
      case Use::kQkvByHead:
        check_outputs(place, tensor, 3 * q, false);
        put(place, "attn_q", runs(place, tensor, 0));
        put(place, "attn_k", runs(place, tensor, 1));
        return put(place, "attn_v", runs(place, tensor, 2));
      case Use::kGateUp:
        check_outputs(place, tensor, 2 * int64_t{config_.ffn_size}, false);
        put(place, "ffn_gate", part_of(place, tensor, 0, config_.ffn_size));
        return put(place, "ffn_up", part_of(place, tensor, config_.ffn_size, config_.ffn_size));
      case Use::kExpertsGateUp:
      case Use::kExpertsDown:
        return cut_experts(place, tensor);
      case Use::kDropped:
        return;
    }
  }

  // Heads' norms come in any order, and each must come once.
  void add_head_norm(const Place& place, StoredTensor tensor) {
    const int32_t n_heads = place.ours == "attn_q_norm" ? config_.n_heads : config_.n_kv_heads;
    if (place.suffix == "bias" || place.number >= n_heads) return throw_no_place(place.source);
    if (tensor.shape != std::vector<int64_t>{config_.head_dim}) {
      throw_tensor(place.source, fmt::format("has shape ({}); wanted ({})",
                                             fmt::join(tensor.shape, ", "), config_.head_dim));
    }
    tensor.name = place.source;
    HeadNorms& norms = head_norms_[canonical(place, place.ours)];
    norms.place = place;
    norms.heads.resize(static_cast<size_t>(n_heads));
    StoredTensor& head = norms.heads[static_cast<size_t>(place.number)];
    if (!head.name.empty()) {
      throw_tensor(place.source,
                   fmt::format("and \"{}\" are the same tensor twice", printable(head.name)));
    }
    head = std::move(tensor);
  }

  void put_head_norms() {
    for (const auto& [name, norms] : head_norms_) {
      for (size_t head = 0; head < norms.heads.size(); ++head) {
        const StoredTensor& vector = norms.heads[head];
        if (vector.name.empty()) {
          throw FormatError(
              fmt::format("{}: the norm of head {} in \"{}\" is missing", path_, head, name));
        }
        if (vector.type == norms.heads.front().type) continue;
        throw_tensor(vector.name, fmt::format("is {}; \"{}\" is {}", traits_of(vector.type).name,
                                              printable(norms.heads.front().name),
                                              traits_of(norms.heads.front().type).name));
      }
      put(norms.place, norms.place.ours, stack_vectors(norms.heads));
    }
  }

  int64_t output_size(std::string_view ours) const {
    return ours == "ffn_up" ? config_.ffn_size : config_.hidden_size;
  }

  // Outputs are a stored matrix's rows, or its columns.
  void check_outputs(const Place& place, const StoredTensor& tensor, int64_t n_wanted,
                     bool in_columns) const {
    const bool has_rank = tensor.shape.size() == (place.suffix == "bias" ? 1u : 2u);
    if (has_rank && (in_columns ? tensor.shape[1] : tensor.shape[0]) == n_wanted) return;
    throw_tensor(place.source, fmt::format("has shape ({}); wanted {} outputs",
                                           fmt::join(tensor.shape, ", "), n_wanted));
  }

  StoredTensor part_of(const Place& place, const StoredTensor& tensor, int64_t first,
                       int64_t n) const {
    if (tensor.transform == TensorTransform::kInt4) return cut_int4_tensor(tensor, first, n);
    if (place.use == Use::kQkvConv1d && place.suffix == "weight") {
      return columns(place, tensor, first, n);
    }
    return cut_rows(tensor, first, n);
  }

  // Columns [first, first + n) of a stored matrix, as rows.
  StoredTensor columns(const Place& place, const StoredTensor& tensor, int64_t first,
                       int64_t n) const {
    if (tensor.transform == TensorTransform::kInt4) return tensor;
    if (tensor.shape.size() != 2 || first + n > tensor.shape[1] || tensor.shape[0] < 1) {
      throw_tensor(place.source, fmt::format("has shape ({}); wanted (inputs, {})",
                                             fmt::join(tensor.shape, ", "), first + n));
    }
    return cut_columns(tensor, first, n);
  }

  // Of each head's q, k and v rows the which-th part.
  StoredTensor runs(const Place& place, const StoredTensor& tensor, int64_t which) const {
    if (tensor.transform == TensorTransform::kInt4) {
      throw_tensor(place.source, "is a quantised matrix whose heads cannot be taken apart");
    }
    const int64_t run = config_.head_dim;
    return cut_runs(tensor, which * run, config_.n_heads, run, 3 * run);
  }

  void cut_experts(Place place, const StoredTensor& tensor) {
    const bool is_down = place.use == Use::kExpertsDown;
    const int64_t ffn = config_.moe.ffn_size, n_experts = config_.moe.n_experts;
    const std::vector<int64_t> wanted =
        is_down ? std::vector<int64_t>{n_experts, config_.hidden_size, ffn}
                : std::vector<int64_t>{n_experts, 2 * ffn, config_.hidden_size};
    if (tensor.shape != wanted) {
      throw_tensor(place.source,
                   fmt::format("has shape ({}); wanted ({})", fmt::join(tensor.shape, ", "),
                               fmt::join(wanted, ", ")));
    }
    StoredTensor all = tensor;
    all.shape = {wanted[0] * wanted[1], wanted[2]};
    for (place.number = 0; place.number < n_experts; ++place.number) {
      const int64_t first = place.number * wanted[1];
      if (is_down) {
        put(place, "ffn_down", cut_rows(all, first, wanted[1]));
      } else {
        put(place, "ffn_gate", cut_rows(all, first, ffn));
        put(place, "ffn_up", cut_rows(all, first + ffn, ffn));
      }
    }
  }

  const std::string& path_;
  const HfModel& model_;
  const ModelConfig& config_;
  const HfQuantization& quantization_;
  std::vector<const MappedFile*> mapped_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, std::string> sources_;  // the stored name of each placed tensor
  std::map<std::string, Quantised> quantised_;            // by the matrix's stored name
  InputOrders input_orders_;
  std::map<std::string, HeadNorms> head_norms_;  // by the canonical name
};

}  // namespace

std::vector<StoredTensor> read_hf_tensors(const std::string& path, const HfModel& model,
                                          const HfQuantization& quantization,
                                          const std::vector<HfFile>& files) {
  TensorReader reader(path, model, quantization, files);
  for (size_t i = 0; i < files.size(); ++i) {
    for (const SafetensorsEntry& entry : files[i].entries) {
      reader.add(entry, static_cast<int32_t>(i));
    }
  }
  std::vector<StoredTensor> tensors = std::move(reader).finish();
  if (quantization.is_quantised) drop_zero_biases(model, files, tensors);
  check_presence(path, model, tensors);
  return tensors;
}

}  // namespace prefold
