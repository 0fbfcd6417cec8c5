// What others do to a run: fill its disk, take its files away, close its pipe, start it twice,
// tell it to stop.
#include <sys/mount.h>
#include <sys/resource.h>

#include "fault_job.h"

using namespace prefold;

namespace {

// Long enough to interfere with.
FaultJob long_job(bool ordered = false) { return FaultJob(ordered, 300, 200); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_resumes(const FaultJob& job) {
  job.check_lines(job.finished());
  CHECK_MESSAGE(job.run({"--resume"}) == 1, job.errors());
  job.check_is_whole();
}

size_t n_finished(const FaultJob& job) { return whole_lines(text_of(job.output())).size(); }

// An output that has been begun, as a running run leaves it.
void wait_for_answers(const FaultJob& job, const Process& run) {
  REQUIRE(run.wait_until([&] { return n_finished(job) > 70; }));
}

}  // namespace

TEST_CASE("a file that may not grow ends the run with an error, and the rest is for --resume") {
  for (const bool ordered : {false, true}) {
    const FaultJob job(ordered, 240, 40);
    const auto limit = [] {
      const rlimit small{12'000, RLIM_INFINITY};
      setrlimit(RLIMIT_FSIZE, &small);
    };
    CHECK(job.run({"--resume"}, limit) == 2);
    CHECK(contains(job.errors(), "cannot write " + job.output()));
    CHECK(contains(job.errors(), "File too large"));
    const std::string left = text_of(job.output());
    CHECK((left.empty() || left.back() == '\n'));
    CHECK(job.run({"--resume"}, limit) == 2);
    check_resumes(job);
  }
}

TEST_CASE("a full disk ends the run with an error, and the rest is for --resume") {
  const TempFolder folder;
  const std::string disk = folder.path() + "/disk";
  std::filesystem::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    MESSAGE("skipped: mounting a file system needs root");
    return;
  }
  const FaultJob job(false, 400, 100);
  const std::string output = disk + "/out.jsonl", report = disk + "/report.json";
  const auto run = [&] {
    Process process(job.command({"--resume", "--report", report}, output), job.stderr_path());
    return process.wait();
  };
  CHECK(run() == 2);
  CHECK(contains(job.errors(), "No space left on device"));
  const Lines kept = whole_lines(text_of(output));
  CHECK(kept.size() > 10);
  job.check_lines(kept);
  CHECK(mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=8m") == 0);
  CHECK(run() == 1);
  CHECK(sorted(whole_lines(text_of(output))) == sorted(job.reference()));
  CHECK(umount(disk.c_str()) == 0);
}

TEST_CASE("a closed pipe ends the run with an error") {
  const FaultJob job = long_job();
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Process run(job.command({}, "-"), job.stderr_path(), [&] {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
  });
  close(ends[1]);
  char first = '\0';
  CHECK(read(ends[0], &first, 1) == 1);
  close(ends[0]);
  CHECK(run.wait() == 2);
  CHECK(contains(job.errors(), "cannot write stdout: Broken pipe"));
}

TEST_CASE("an output that is shortened or deleted under the run: an error, and --resume mends it") {
  const FaultJob job = long_job();
  for (const bool deleted : {false, true}) {
    job.forget();
    Process run = job.start({"--resume"});
    wait_for_answers(job, run);
    run.send(SIGSTOP);
    if (deleted) {
      std::filesystem::remove(job.output());
    } else {
      std::filesystem::resize_file(job.output(), 1000);
    }
    run.send(SIGCONT);
    CHECK(run.wait() == 2);
    CHECK(contains(job.errors(),
                   deleted ? "was deleted or replaced while" : "was changed while this run"));
    check_resumes(job);
  }
}

TEST_CASE("of two runs at once one is refused, and the other one does not notice") {
  const FaultJob job = long_job();
  Process first = job.start({"--resume"});
  wait_for_answers(job, first);
  first.send(SIGSTOP);
  for (const Lines& more : {Lines{"--resume"}, Lines{"--overwrite"}, Lines{}}) {
    Process second(job.command(more), job.file("stderr.second"));
    CHECK(second.wait() == 2);
    CHECK(contains(text_of(job.file("stderr.second")), "is being written by another run"));
  }
  first.send(SIGCONT);
  CHECK(first.wait() == 1);
  job.check_is_whole();
}

TEST_CASE("signals stop a run cleanly: report, status 3, and the rest is for --resume") {
  for (const bool ordered : {false, true}) {
    const FaultJob job = long_job(ordered);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      job.forget();
      const std::string report = job.file("report.json");
      Process run = job.start({"--resume", "--grace", "0", "--report", report});
      REQUIRE(run.wait_until([&] { return job.finished().size() > 70; }));
      run.send(signal);
      CHECK(run.wait() == 3);
      CHECK(contains(job.errors(), "stopped, resumable: same command with --resume"));
      const auto json = nlohmann::json::parse(text_of(report));
      CHECK(json["stop"]["reason"] == "signal");
      CHECK(json["stop"]["detail"] == "SIG" + std::string(sigabbrev_np(signal)));
      CHECK(json["requests"]["left"] ==
            static_cast<int64_t>(job.reference().size() - job.finished().size()));
      check_resumes(job);
    }
  }
}

TEST_CASE("within the grace period what runs is ended; a second signal does not wait for it") {
  const FaultJob job = long_job();
  Process patient = job.start({"--resume", "--grace", "1h"});
  wait_for_answers(job, patient);
  patient.send(SIGTERM);
  CHECK(patient.wait() == 3);
  check_resumes(job);
  job.forget();
  Process hurried = job.start({"--resume", "--grace", "1h"});
  wait_for_answers(job, hurried);
  hurried.send(SIGSTOP);  // so that both are there at once
  hurried.send(SIGINT);
  hurried.send(SIGTERM);
  hurried.send(SIGCONT);
  CHECK(hurried.wait() == 3);
  check_resumes(job);
}

TEST_CASE("a third signal ends a run that does not come to hear of the others, its metrics too") {
  const FaultJob job(false, 20, 4);
  const std::string metrics = job.file("run.prom");
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Lines words = job.command({"--metrics", metrics});
  *std::find(words.begin(), words.end(), job.file("in.jsonl")) = "-";
  Process run(words, job.stderr_path(), [&] {
    dup2(ends[0], STDIN_FILENO);  // which nobody writes to
    close(ends[1]);
  });
  REQUIRE(run.wait_until([&] { return std::filesystem::exists(job.output()); }));
  CHECK(contains(text_of(metrics), "prefold_run_active{run=\"run\"} 1\n"));
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) run.send(signal);
  CHECK(run.wait() == 3);
  close(ends[0]);
  close(ends[1]);
  CHECK(contains(job.errors(), "stopped at once"));
  CHECK(contains(text_of(metrics), "prefold_run_active{run=\"run\"} 0\n"));
  CHECK(contains(text_of(metrics), "prefold_exit_reason{run=\"run\",reason=\"stopped\"} 1\n"));
}

TEST_CASE("a signal that was ignored when the program started stays so") {
  const FaultJob job(false, 240, 40);
  Process run = job.start({}, [] { signal(SIGHUP, SIG_IGN); });
  REQUIRE(run.wait_until([&] { return std::filesystem::exists(job.output()); }));
  run.send(SIGHUP);
  CHECK(run.wait() == 1);
  job.check_is_whole();
}

TEST_CASE("a time limit stops a run as a signal does, as often as it takes") {
  const FaultJob job = long_job();
  const double part_s = std::max(0.05, job.run_s() / 4);
  size_t n_before = 0;
  int n_runs = 0, status = 3;
  while (status == 3 && n_runs < 200) {
    status = job.run({"--resume", "--grace", "0", "--time-limit", std::to_string(part_s) + "s"});
    CHECK(job.finished().size() >= n_before);
    n_before = job.finished().size();
    ++n_runs;
  }
  CHECK(status == 1);
  CHECK(n_runs > 1);
  job.check_is_whole();
}
