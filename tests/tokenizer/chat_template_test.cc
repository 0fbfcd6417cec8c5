#include "tokenizer/chat_template.h"

#include <doctest/doctest.h>

#include "base/error.h"

using prefold::ChatTemplate;

TEST_CASE("a template prints") {
  CHECK(ChatTemplate("a{{ 1 + 2 }}b").render({{"x", 1}}, 0) == "a3b");
}
