#include "run/embedding_lines.h"

#include <utility>

#include "base/check.h"

namespace prefold {

std::optional<Result> EmbeddingLines::add(const PreparedJob& prepared, int32_t request,
                                          const Result& of_input) {
  CHECK(of_input.embeddings.size() == 1);
  const LineParts parts = parts_of_line(prepared, request);
  const auto [found, is_new] = pending_.try_emplace(parts.first);
  Pending& pending = found->second;
  if (is_new) {
    pending.n_left = parts.n;
    pending.line.embeddings.resize(parts.n);
  }
  pending.line.embeddings[request - parts.first] = of_input.embeddings[0];
  pending.line.usage.prompt_tokens += of_input.usage.prompt_tokens;
  pending.line.usage.cached_tokens += of_input.usage.cached_tokens;
  if (--pending.n_left > 0) return std::nullopt;
  std::optional<Result> line = std::move(pending.line);
  pending_.erase(found);
  return line;
}

}  // namespace prefold
