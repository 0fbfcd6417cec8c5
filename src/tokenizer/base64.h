// Base64 (RFC 4648, section 4), padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace prefold {

// Nothing if text is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace prefold
