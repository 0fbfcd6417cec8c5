// The key of a choice's random stream. The answer of a sampled request depends on it, so it is part
// of the numerics version: the same key in every release, on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace prefold {

// From `seed` and the choice if the request gives a seed; otherwise from the run's seed, the
// request's id and the choice. Not cryptographic.
uint64_t sampling_key(std::optional<uint64_t> seed, uint64_t run_seed, std::string_view request_id,
                      int32_t choice_idx);

}  // namespace prefold
