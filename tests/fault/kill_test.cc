// kill -9 at random instants, again and again, until the job is done.
#include <random>

#include "fault_job.h"

using namespace prefold;

namespace {

// Of all cases together; PREFOLD_FAULT_KILLS asks for more.
int kills_wanted() {
  const char* wanted = std::getenv("PREFOLD_FAULT_KILLS");
  return wanted == nullptr ? 100 : std::atoi(wanted);
}

bool is_answer(const std::string& line) { return line.find("\"error\":{") == std::string::npos; }

// Everything that `before` had is there still. Error lines apart: a run that was killed while it
// read its input is begun anew.
void check_nothing_was_lost(const Lines& before, const Lines& now) {
  const std::multiset<std::string> there(now.begin(), now.end());
  for (const std::string& line : before) {
    if (is_answer(line)) CHECK(there.count(line) == 1);
  }
}

struct Tally {
  int n_kills = 0;
  int n_jobs = 0;
  std::map<std::string, int> phases;  // where a kill found the job
};

std::string phase(const FaultJob& job, const Lines& finished) {
  const std::string journal = text_of(job.output() + ".journal");
  if (journal.empty()) return "before anything";
  if (journal.find("\"lines\": null") != std::string::npos) return "while reading";
  const bool any = std::any_of(finished.begin(), finished.end(), is_answer);
  if (!any) return "before the first answer";
  return finished.size() == job.reference().size() ? "when all was written" : "among the answers";
}

// One job from nothing to its end.
void kill_until_done(const FaultJob& job, std::mt19937& random, Tally& tally) {
  job.forget();
  Lines before;
  for (int attempt = 0;; ++attempt) {
    REQUIRE(attempt < 1000);
    Process run = job.start({"--resume"});
    // Spread over the whole of a run, its load and its end too.
    const double after_s = std::uniform_real_distribution<>(0, 1.1 * job.run_s())(random);
    std::this_thread::sleep_for(std::chrono::duration<double>(after_s));
    run.send(SIGKILL);
    const int status = run.wait();
    const Lines now = job.finished();
    job.check_lines(now);
    check_nothing_was_lost(before, now);
    before = now;
    if (status != -SIGKILL) {
      REQUIRE_MESSAGE(status == 1, job.errors());  // some lines are errors
      break;
    }
    ++tally.n_kills;
    ++tally.phases[phase(job, now)];
  }
  job.check_is_whole();
  ++tally.n_jobs;
  CHECK(job.run({"--resume"}) == 1);  // nothing to do, and the job's status
  job.check_is_whole();
}

}  // namespace

TEST_CASE("killed at any instant, a job loses nothing, does nothing twice, and ends the same") {
  std::mt19937 random(2026);
  Tally tally;
  const FaultJob jobs[] = {{false, 200, 30}, {true, 200, 30}};
  while (tally.n_kills < kills_wanted()) {
    for (const FaultJob& job : jobs) kill_until_done(job, random, tally);
  }
  std::string phases;
  for (const auto& [name, n] : tally.phases) phases += " " + std::to_string(n) + " " + name + ",";
  MESSAGE(tally.n_kills, " kills in ", tally.n_jobs, " jobs:", phases);
  CHECK(tally.phases.count("among the answers") == 1);
}

TEST_CASE("a resumed run computes what was not finished, and no more") {
  const FaultJob job(false, 240, 40);
  std::mt19937 random(7);
  int n_cut = 0;
  for (int round = 0; n_cut < 3 && round < 20; ++round) {
    job.forget();
    {
      Process run = job.start({"--resume"});
      const size_t wanted = 60 + random() % 100;
      run.wait_until([&] { return job.finished().size() >= wanted; });
      run.send(SIGKILL);
      run.wait();
    }
    const Lines kept = job.finished();
    if (kept.size() == job.reference().size()) continue;  // the kill came too late
    ++n_cut;
    CHECK(job.run({"--resume", "--report", job.file("report.json")}) == 1);
    const auto report = nlohmann::json::parse(text_of(job.file("report.json")));
    const auto n_kept = static_cast<int64_t>(kept.size());
    const auto n_all = static_cast<int64_t>(job.reference().size());
    CHECK(report["requests"]["kept"] == n_kept);
    CHECK(report["requests"]["total"] == n_all);
    CHECK(report["latency_ms"]["count"] == n_all - n_kept);
    job.check_is_whole();
  }
  CHECK(n_cut > 0);
}
