#include "plan/sampling_key.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace prefold;

namespace {

uint64_t key_of(std::optional<uint64_t> seed, uint64_t run_seed, const std::string& request_id,
                int32_t choice_idx) {
  return sampling_key(request_key(seed, run_seed, request_id), choice_idx);
}

}  // namespace

TEST_CASE("with a seed in the line, the key depends on the seed and the choice alone") {
  CHECK(key_of(7, 1, "a", 0) == key_of(7, 2, "b", 0));
  CHECK(key_of(7, 1, "a", 0) != key_of(8, 1, "a", 0));
  CHECK(key_of(7, 1, "a", 0) != key_of(7, 1, "a", 1));
  CHECK(key_of(0, 1, "a", 0) != key_of(std::nullopt, 1, "a", 0));
}

TEST_CASE("without a seed, run seed, request id and choice each change the key") {
  std::set<uint64_t> keys;
  for (uint64_t run_seed = 0; run_seed < 10; ++run_seed) {
    for (int request = 0; request < 50; ++request) {
      for (int32_t choice = 0; choice < 10; ++choice) {
        keys.insert(
            key_of(std::nullopt, run_seed, "prompts.jsonl:" + std::to_string(request), choice));
      }
    }
  }
  CHECK(keys.size() == 10 * 50 * 10);
}

TEST_CASE("keys stay what they are from release to release") {
  CHECK(key_of(42, 0, "", 0) == 6332618229526065668u);
  CHECK(key_of(std::nullopt, 0, "q-1", 3) == 17325383477345359114u);
}
