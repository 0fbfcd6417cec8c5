// Options of `prefold run` about its end: going on after an earlier one, and stopping early.
#include <fmt/format.h>

#include <functional>

#include "args_options.h"
#include "base/duration.h"
#include "option_checks.h"

namespace prefold {
namespace {

// A duration, or the error that says what one is.
void add_duration(CLI::App& app, const std::string& name,
                  const std::function<void(double seconds)>& take, const std::string& help) {
  const auto parse = [name, take](const std::string& typed) {
    const std::optional<double> seconds = parse_duration(typed);
    if (!seconds) {
      throw CLI::ValidationError(fmt::format(
          "{} is \"{}\"; expected a duration such as 90s, 30m, 6h or 1h30m", name, typed));
    }
    take(*seconds);
  };
  app.add_option_function<std::string>(name, parse, help)->type_name("DURATION");
}

}  // namespace

void add_resume_option(CLI::App& app, RunOptions& run) {
  app.add_flag("--resume", run.resume,
               "Go on where an earlier run of the same job ended, however it ended; if there was "
               "none, begin");
}

void add_stop_options(CLI::App& app, RunOptions& run) {
  app.option_defaults()->group(
      "Stopping early (as on SIGINT, SIGTERM and SIGHUP; --resume goes on)");
  add_duration(
      app, "--time-limit", [&run](double seconds) { run.time_limit_s = seconds; },
      "Begin no request after this time, e.g. 90s, 30m, 6h");
  add_duration(
      app, "--grace", [&run](double seconds) { run.grace_s = seconds; },
      fmt::format("How long requests that run may then go on [{}s]", run.grace_s));
  app.add_option("--max-requests", run.max_requests,
                 "Answer this many requests at most, then end as if stopped")
      ->check(number_in<int64_t>(1, INT64_MAX))
      ->type_name("N");
}

}  // namespace prefold
