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

// The shortest decimal that reads back as the same f32; what is not finite becomes null.
void append_json_float(std::string& out, float value);

// The bytes of the values, f32 and little-endian, in base64 (RFC 4648), without quotes.
void append_base64(std::string& out, std::span<const float> values);

// An array of the bytes' values.
void append_json_bytes(std::string& out, std::string_view bytes);

}  // namespace prefold
