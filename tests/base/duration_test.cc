#include "base/duration.h"

#include <doctest/doctest.h>

using prefold::parse_duration;

TEST_CASE("durations are numbers with units, or seconds") {
  CHECK(parse_duration("90") == 90.0);
  CHECK(parse_duration("90s") == 90.0);
  CHECK(parse_duration("30m") == 1800.0);
  CHECK(parse_duration("1.5h") == 5400.0);
  CHECK(parse_duration("2d") == 172800.0);
  CHECK(parse_duration("1h30m10s") == 5410.0);
  CHECK(parse_duration("0") == 0.0);
}

TEST_CASE("what is no duration is none") {
  for (const char* text : {"", "h", "-5s", "5 m", "5w", "1h30", "1e3s", "nan", "inf", "5000000h",
                           "5s ", "99999999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}
