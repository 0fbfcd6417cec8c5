// What `prefold --version` prints.
#pragma once

#include <string>

namespace prefold {

// "prefold 1.2.3", then lines "key: value" that scripts may rely on (docs/formats.md).
std::string version_text();

}  // namespace prefold
