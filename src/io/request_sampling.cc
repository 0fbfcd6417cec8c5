// Members that say how tokens are chosen and what is told about them.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "io/request_draft.h"

namespace prefold {
namespace {

constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxLogitBiases = 1024;

// A token id as an object key: decimal digits as an integer is written, without leading zeros.
int32_t token_id_of_key(const Field& field, const std::string& key) {
  const bool digits =
      !key.empty() && key.size() <= 10 &&
      std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
  const int64_t id = digits && (key == "0" || key[0] != '0') ? std::stoll(key) : -1;
  if (id < 0 || id > kMaxInt32) {
    throw_invalid_value(fmt::format("\"{}\" has the key {}; expected token ids from 0 to {}",
                                    field.name, show_text(key), kMaxInt32));
  }
  return static_cast<int32_t>(id);
}

}  // namespace

void read_stop(const Field& field, RequestDraft& draft) {
  std::vector<std::string> stops;
  const auto add = [&](const Field& entry) {
    if (!entry.value.is_string()) throw_unexpected(entry, "a string");
    std::string stop = get_string(entry);
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      throw_invalid_value(fmt::format("\"{}\" has {} bytes; expected from 1 to {}", entry.name,
                                      stop.size(), kMaxStopBytes));
    }
    stops.push_back(std::move(stop));
  };
  if (field.value.is_string()) {
    add(field);
  } else if (!field.value.is_array()) {
    throw_unexpected(field, "a string or an array of strings");
  } else if (field.value.size() > kMaxStops) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), kMaxStops));
  } else {
    for (Json& entry : field.value) add({fmt::format("{}[{}]", field.name, stops.size()), entry});
  }
  draft.params().stop = std::move(stops);
}

void read_logit_bias(const Field& field, RequestDraft& draft) {
  if (!field.value.is_object()) throw_unexpected(field, "an object from token ids to numbers");
  if (field.value.size() > kMaxLogitBiases) {
    throw_invalid_value(fmt::format("\"{}\" has {} entries; expected at most {}", field.name,
                                    field.value.size(), kMaxLogitBiases));
  }
  std::vector<std::pair<int32_t, float>> biases;
  for (auto& [key, value] : field.value.items()) {
    const int32_t id = token_id_of_key(field, key);
    biases.emplace_back(id, get_float({fmt::format("{}.{}", field.name, key), value}, -100, 100));
  }
  // In one order, so that equal biases compare equal however the line wrote them.
  std::sort(biases.begin(), biases.end());
  draft.params().logit_bias = std::move(biases);
}

void read_logprobs(const Field& field, RequestDraft& draft) {
  const bool may_be_bool = draft.form != RequestForm::kCompletionBody;
  const bool may_be_integer = draft.form != RequestForm::kChatBody;
  if (may_be_bool && field.value.is_boolean()) {
    draft.logprobs = field.value.get<bool>();
  } else if (!may_be_integer) {
    throw_unexpected(field, "true or false");
  } else if (may_be_bool && !field.value.is_number()) {
    throw_unexpected(field, "true, false or an integer from 0 to 20");
  } else {
    draft.logprobs = get_int32(field, 0, kMaxTopLogprobs);
  }
}

void read_top_k(const Field& field, RequestDraft& draft) {
  draft.params().top_k = std::max(0, get_int32(field, -1, kMaxInt32));
}

void read_seed(const Field& field, RequestDraft& draft) {
  using Limits = std::numeric_limits<int64_t>;
  draft.params().seed = static_cast<uint64_t>(get_integer(field, Limits::min(), Limits::max()));
}

void read_encoding_format(const Field& field, RequestDraft& draft) {
  if (field.value != "float" && field.value != "base64") {
    throw_unexpected(field, "\"float\" or \"base64\"");
  }
  draft.embedding.base64 = field.value == "base64";
}

void finish_logprobs(RequestDraft& draft) {
  SamplingParams& params = draft.params();
  const bool* flag = draft.logprobs ? std::get_if<bool>(&*draft.logprobs) : nullptr;
  const int32_t* count = draft.logprobs ? std::get_if<int32_t>(&*draft.logprobs) : nullptr;
  if (count != nullptr) {
    if (draft.top_logprobs.value_or(*count) != *count) {
      throw_invalid_value(fmt::format("\"logprobs\" is {} but \"top_logprobs\" is {}", *count,
                                      *draft.top_logprobs));
    }
    params.logprobs = *count;
    return;
  }
  if (flag != nullptr && *flag) params.logprobs = params.logprobs.value_or(0);
  if (flag != nullptr && !*flag) params.logprobs = std::nullopt;
  if (!draft.top_logprobs) return;
  if (params.logprobs) {
    params.logprobs = *draft.top_logprobs;
  } else if (*draft.top_logprobs > 0) {
    throw_invalid_value(
        fmt::format("\"top_logprobs\" is {}, which needs \"logprobs\": true", *draft.top_logprobs));
  }
}

void finish_counts(RequestDraft& draft) {
  SamplingParams& params = draft.params();
  if (draft.max_tokens && draft.max_completion_tokens &&
      *draft.max_tokens != *draft.max_completion_tokens) {
    throw_invalid_value(fmt::format("\"max_tokens\" is {} but \"max_completion_tokens\" is {}",
                                    *draft.max_tokens, *draft.max_completion_tokens));
  }
  if (draft.max_tokens) params.max_tokens = draft.max_tokens;
  if (draft.max_completion_tokens) params.max_tokens = draft.max_completion_tokens;
  if (params.max_tokens == 0 && !params.echo && !params.prompt_logprobs) {
    throw_invalid_value(
        "\"max_tokens\" is 0; expected an integer from 1, or \"echo\" or \"prompt_logprobs\" "
        "beside it");
  }
  if (params.max_tokens && params.min_tokens > *params.max_tokens) {
    throw_invalid_value(fmt::format("\"min_tokens\" is {}, more than \"max_tokens\", {}",
                                    params.min_tokens, *params.max_tokens));
  }
  if (draft.best_of && *draft.best_of != params.n) {
    throw RequestError("unsupported_parameter",
                       fmt::format("\"best_of\" is {}; only the value of \"n\" ({}) is supported",
                                   *draft.best_of, params.n));
  }
}

}  // namespace prefold
