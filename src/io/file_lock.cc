#include "io/file_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"

namespace prefold {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// Field 22 of /proc/<pid>/stat (proc(5)); the command's name, field 2, may hold spaces and
// parentheses. -1 if there is no such process.
int64_t start_ticks_of(int64_t pid) {
  constexpr int kFieldsBehindName = 19;  // 3 to 21
  const std::string text = text_of(fmt::format("/proc/{}/stat", pid));
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return -1;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < kFieldsBehindName; ++i) fields >> skipped;
  int64_t ticks = -1;
  fields >> ticks;
  return fields ? ticks : -1;
}

// None: it cannot be known from here.
std::optional<bool> still_runs(const LockHolder& holder) {
  const LockHolder here = this_process();
  if (holder.host != here.host || here.boot_id.empty()) return std::nullopt;
  return holder.boot_id == here.boot_id && start_ticks_of(holder.pid) == holder.start_ticks;
}

bool is_unsupported(int error_number) {
  return error_number == ENOLCK || error_number == ENOSYS || error_number == ENOTSUP ||
         error_number == EOPNOTSUPP || error_number == EINVAL;
}

// False if the file is there already. Made under another name first: it never exists half written.
bool create_lock_file(const std::string& path) {
  const LockHolder holder = this_process();
  const std::string own = fmt::format("{}.{}.{}", path, holder.host, holder.pid);
  std::ofstream file(own);
  file << lock_file_text(holder);
  file.close();
  const int error = !file ? EIO : (link(own.c_str(), path.c_str()) == 0 ? 0 : errno);
  unlink(own.c_str());
  if (error == 0) return true;
  if (error == EEXIST) return false;
  throw Error(
      fmt::format("cannot write {}, which locks the output where the file system has no "
                  "flock: {}",
                  path, std::strerror(error)));
}

[[noreturn]] void throw_locked(const std::string& path) {
  throw Error(fmt::format("{} is being written by another run", path));
}

}  // namespace

LockHolder this_process() {
  LockHolder self;
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) == 0) self.host = host;
  self.boot_id = text_of("/proc/sys/kernel/random/boot_id");
  while (!self.boot_id.empty() && self.boot_id.back() == '\n') self.boot_id.pop_back();
  self.pid = getpid();
  self.start_ticks = start_ticks_of(self.pid);
  return self;
}

std::string lock_file_text(const LockHolder& holder) {
  const Json json = {{"schema", "prefold-lock/1"},
                     {"host", holder.host},
                     {"boot_id", holder.boot_id},
                     {"pid", holder.pid},
                     {"start_ticks", holder.start_ticks}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<LockHolder> parse_lock_file(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("schema", Json()) != "prefold-lock/1") return std::nullopt;
  try {
    return LockHolder{json.at("host").get<std::string>(), json.at("boot_id").get<std::string>(),
                      json.at("pid").get<int64_t>(), json.at("start_ticks").get<int64_t>()};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

FileLock::FileLock(int fd, const std::string& path, Kind kind) {
  if (kind == Kind::kFlock) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return;
    if (errno == EWOULDBLOCK) throw_locked(path);
    if (!is_unsupported(errno)) {
      throw Error(fmt::format("cannot lock {}: {}", path, std::strerror(errno)));
    }
  }
  const std::string lock_file = path + ".lock";
  while (!create_lock_file(lock_file)) {
    const std::string text = text_of(lock_file);
    if (text.empty() && access(lock_file.c_str(), F_OK) != 0) continue;  // given back just now
    const std::optional<LockHolder> holder = parse_lock_file(text);
    const std::optional<bool> runs = holder ? still_runs(*holder) : std::nullopt;
    if (runs.value_or(false)) throw_locked(path);
    if (!runs) {
      throw Error(fmt::format(
          "{0} may be being written by another run: {1} was made by {2}, and from here it cannot "
          "be known whether that still runs; if it does not, delete {1}",
          path, lock_file,
          holder ? fmt::format("process {} on {}", holder->pid, holder->host) : "something else"));
    }
    // Stale. Renamed away before it is deleted: of two runs that see it, one takes it.
    const std::string stale = fmt::format("{}.stale.{}", lock_file, getpid());
    if (rename(lock_file.c_str(), stale.c_str()) == 0) {
      if (text_of(stale) != text) {  // another run took the stale one over in between
        [[maybe_unused]] const int back = link(stale.c_str(), lock_file.c_str());
      }
      unlink(stale.c_str());
    }
  }
  lock_file_ = lock_file;
}

FileLock::~FileLock() {
  if (!lock_file_.empty()) unlink(lock_file_.c_str());
}

}  // namespace prefold
