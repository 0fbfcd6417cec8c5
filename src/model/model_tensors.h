// The tensors of a model under the names that they have here, whatever the file's format: which
// there are follows from the configuration.
//
//   token_embd.weight (vocab, hidden)         position_embd.weight (context, hidden)
//   blk.N.attn_norm   blk.N.attn_{q,k,v,output}   blk.N.attn_{q,k}_norm   blk.N.post_attention_norm
//   blk.N.ffn_norm    blk.N.ffn_{gate,up,down}    blk.N.post_ffw_norm
//   blk.N.ffn_gate_inp (experts, hidden)      blk.N.ffn_{gate,up,down}.E of expert E
//   blk.N.ffn_{gate,up,down}_shexp            blk.N.ffn_gate_inp_shexp (1, hidden)
//   output_norm       output (vocab, hidden)
// each with ".weight", and where a model has one, ".bias".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/stored_tensor.h"

namespace prefold {

inline constexpr std::string_view kTokenEmbedding = "token_embd.weight";
inline constexpr std::string_view kPositionEmbedding = "position_embd.weight";
inline constexpr std::string_view kOutputNorm = "output_norm.weight";
inline constexpr std::string_view kOutputNormBias = "output_norm.bias";
inline constexpr std::string_view kOutput = "output.weight";
inline constexpr std::string_view kOutputBias = "output.bias";

// "blk.3.attn_q.weight"
std::string layer_tensor(int32_t layer, std::string_view part, std::string_view suffix = "weight");
// "blk.3.ffn_up.7.weight"
std::string expert_tensor(int32_t layer, std::string_view part, int32_t expert);

// kAlike: in every layer that could have it, or in none.
enum class Presence { kRequired, kAlike, kOptional };

struct WantedTensor {
  std::string name;
  std::vector<int64_t> shape;
  Presence presence = Presence::kRequired;
  std::string kind;       // of kAlike: what the layers' tensors have in common, "attn_q.bias"
  bool is_plain = false;  // of floats: norms of each head, and everything with one dimension
};
// Tells of each. There may be millions where a hostile file says so: fn stops them by throwing.
void for_each_wanted(const ModelConfig& config, const std::function<void(WantedTensor)>& fn);

const StoredTensor* find_tensor(const std::vector<StoredTensor>& tensors, std::string_view name);

// Every tensor the model needs is there in its one shape, norms and other vectors are plain floats,
// and nothing is there that the model would not use. Throws FormatError naming the tensor, both
// shapes, and `path`.
void check_model_tensors(std::string_view path, const ModelConfig& config,
                         const std::vector<StoredTensor>& tensors);

}  // namespace prefold
