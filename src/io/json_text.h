// Pieces of JSON text, appended to a string. Whatever the bytes, the result is valid JSON on one
// line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace prefold {

// A quoted string. Bytes that are not UTF-8 become U+FFFD, one for each maximal invalid subpart.
void append_json_string(std::string& out, std::string_view bytes);

void append_json_integer(std::string& out, int64_t value);
void append_json_integers(std::string& out, std::span<const int32_t> values);

// A log-probability: the shortest decimal that reads back as the same f32, always with a point or
// an exponent. What is below -9999, minus infinity and NaN become -9999.0, as vLLM writes them.
void append_json_logprob(std::string& out, float logprob);

// An array of the bytes' values.
void append_json_bytes(std::string& out, std::string_view bytes);

}  // namespace prefold
