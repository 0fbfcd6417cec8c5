// What a run may not read or write: an error that names the file and says so, exit status 2, and
// what was finished is kept. Root may do everything, so there the program runs as nobody.
#include <sys/stat.h>

#include "fault_job.h"

using namespace prefold;

namespace {

constexpr uid_t kNobody = 65534;
const std::string kModel = "tests/data/models/tiny_bpe.gguf";

void as_user() {
  if (geteuid() == 0 && setuid(kNobody) != 0) _exit(126);
}

// Takes the permissions `mode` leaves out from whoever runs the program, and gives them back.
class Mode {
 public:
  Mode(std::string path, mode_t mode) : path_(std::move(path)) {
    struct stat before {};
    REQUIRE(stat(path_.c_str(), &before) == 0);
    before_ = before.st_mode & 07777;
    REQUIRE(chmod(path_.c_str(), mode) == 0);
  }
  ~Mode() { CHECK(chmod(path_.c_str(), before_) == 0); }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  std::string path_;
  mode_t before_;
};

// A job in a folder of the user's own that has been begun; and a copy of the model, to be locked.
struct BegunJob {
  FaultJob job{false, 240, 40};
  std::string folder = std::filesystem::path(job.output()).parent_path().string();
  std::string model = job.file("model.gguf");
  bool can_run = true;

  BegunJob() {
    std::filesystem::copy_file(kModel, model);
    if (geteuid() == 0) {
      REQUIRE(chown(folder.c_str(), kNobody, static_cast<gid_t>(-1)) == 0);
    }
    if (job.run({"--resume", "--max-requests", "50"}, as_user) == 3) return;
    can_run = false;
    MESSAGE("skipped: another user cannot run this here: ", job.errors());
  }

  // The program refuses with this error, and what was finished stays.
  void check_refused(const Lines& words, const std::string& error) const {
    const Lines before = job.finished();
    Process run(words, job.stderr_path(), as_user);
    CHECK(run.wait() == 2);
    CHECK_MESSAGE(job.errors().find(error) != std::string::npos, job.errors());
    CHECK(job.errors().find("Permission denied") != std::string::npos);
    CHECK(job.finished() == before);
  }
};

}  // namespace

TEST_CASE(
    "what may not be read or written is named with the reason, and the rest is for --resume") {
  const BegunJob begun;
  const FaultJob& job = begun.job;
  if (!begun.can_run) return;
  const Lines resume = job.command({"--resume"});
  const std::string input = job.file("in.jsonl"), journal = job.output() + ".journal";
  {
    const Mode locked(input, 0);
    begun.check_refused(resume, "cannot read " + input);
  }
  {
    const Mode locked(journal, 0);
    begun.check_refused(resume, "cannot read " + journal);
  }
  {
    const Mode locked(begun.model, 0);
    Lines words = resume;
    *std::find(words.begin(), words.end(), kModel) = begun.model;
    begun.check_refused(words, begun.model + ": cannot open");
  }
  for (const mode_t mode : {mode_t{0}, mode_t{0444}}) {
    const Mode locked(job.output(), mode);
    begun.check_refused(resume, "cannot write " + job.output());
    if (mode != 0) begun.check_refused(job.command({"--overwrite"}), "cannot write ");
  }
  {
    const Mode locked(begun.folder, 0555);
    const std::string other = job.file("other.jsonl"), metrics = job.file("run.prom");
    begun.check_refused(job.command({"--resume"}, other), "cannot write " + other);
    begun.check_refused(job.command({"--resume", "--metrics", metrics}), "--metrics " + metrics);
  }
  CHECK_MESSAGE(job.run({"--resume"}, as_user) == 1, job.errors());
  job.check_is_whole();
}

TEST_CASE("a report that may not be written is an error after the answers, which are whole") {
  const BegunJob begun;
  const FaultJob& job = begun.job;
  if (!begun.can_run) return;
  const std::string closed = job.file("closed"), report = closed + "/report.json";
  std::filesystem::create_directory(closed);
  const Mode no_new_files(closed, 0555);
  CHECK(job.run({"--resume", "--report", report}, as_user) == 2);
  CHECK_MESSAGE(
      job.errors().find("cannot write " + report + ": Permission denied") != std::string::npos,
      job.errors());
  job.check_is_whole();
}
