// Files that must be whole after a crash or a loss of power.
#pragma once

#include <string>
#include <string_view>

namespace prefold {

// Makes the entry of `path` in its folder durable: fsync of the folder. Throws Error.
void sync_folder_of(const std::string& path);

// Gives `path` this content, whole or not at all: written to "<path>.part", synced, renamed, and
// the folder synced. A symbolic link stays one; what is not a regular file (a pipe, /dev/stdout) is
// written to as it is. Throws Error naming the path and the reason; the old content stays then. For
// one writer at a time.
void replace_file(const std::string& path, std::string_view content);

}  // namespace prefold
