// The key of a choice's random stream. The answer of a sampled request depends on it, so it is part
// of the numerics version: the same key in every release, on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace prefold {

// The request's part of the key: from `seed` if the request gives one, otherwise from the run's
// seed and the request's id. Not cryptographic. Different seeds have different keys.
uint64_t request_key(std::optional<uint64_t> seed, uint64_t run_seed, std::string_view request_id);

// The key of one of its choices.
uint64_t sampling_key(uint64_t request_key, int32_t choice_idx);

}  // namespace prefold
