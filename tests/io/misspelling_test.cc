#include "io/misspelling.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace prefold {
namespace {

const std::vector<std::string_view> kKnown = {"n",        "stop",       "seed",       "echo",
                                              "tools",    "top_k",      "logprobs",   "min_tokens",
                                              "messages", "max_tokens", "temperature"};

std::string meant(std::string_view name) { return std::string(misspelt_name(name, kKnown)); }

TEST_CASE("case and separators make no other name") {
  CHECK(meant("maxTokens") == "max_tokens");
  CHECK(meant("MAX-TOKENS") == "max_tokens");
  CHECK(meant("Stop") == "stop");
  CHECK(meant("N") == "n");
  CHECK(meant("TopK") == "top_k");
}

TEST_CASE("a long name may have two slips, one of middle length one") {
  for (const char* name :
       {"temprature", "tempreature", "temperatur", "tempertaure", "temparatures"}) {
    CAPTURE(name);
    CHECK(meant(name) == "temperature");
  }
  CHECK(meant("max_token") == "max_tokens");
  CHECK(meant("maxtoken") == "max_tokens");
  CHECK(meant("mix_tokens") == "min_tokens");  // one replaced, as from max_tokens: the first wins
  CHECK(meant("n_tokens").empty());
  CHECK(meant("temporal_tx").empty());
  CHECK(meant("message") == "messages");
  CHECK(meant("massage").empty());
  CHECK(meant("logprob") == "logprobs");
  CHECK(meant("logits").empty());
}

TEST_CASE("names of a few letters are other words unless letters are swapped or doubled") {
  for (const char* name : {"sotp", "stpo", "stopp", "sttop", "stops"}) {
    CAPTURE(name);
    CHECK(meant(name) == "stop");
  }
  CHECK(meant("seeds") == "seed");
  CHECK(meant("tool") == "tools");
  for (const char* name : {"step", "top", "shop", "speed", "need", "see", "each", "tops", "k", "m",
                           "topic", "label", "text", "index", ""}) {
    CAPTURE(name);
    CHECK(meant(name).empty());
  }
}

TEST_CASE("names of any length and bytes are looked at") {
  CHECK(meant(std::string(1000, 'x')).empty());
  CHECK(meant("température") == "temperature");
  CHECK(meant(std::string("stop\0", 5)).empty());
  CHECK(meant("____").empty());
}

}  // namespace
}  // namespace prefold
