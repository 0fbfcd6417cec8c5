// One thing that a run says while it goes on: what report/run_log.h makes a line of.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace prefold {

enum class Severity { kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct Note {
  // Plain text: an event named "note", or a warning if it begins with "warning: ".
  // NOLINTNEXTLINE(google-explicit-constructor): who has no more than a text gives that.
  Note(std::string line) : event("note"), text(std::move(line)) {
    static constexpr std::string_view kWarning = "warning: ";
    if (!text.starts_with(kWarning)) return;
    severity = Severity::kWarning;
    event = "warning";
    text.erase(0, kWarning.size());
  }
  Note(const char* event_name, std::string line, nlohmann::ordered_json values)
      : event(event_name), text(std::move(line)), fields(std::move(values)) {}

  Severity severity = Severity::kInfo;
  const char* event;  // a stable word (docs/formats.md)
  std::string text;   // for people, without a line end
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
};

}  // namespace prefold
