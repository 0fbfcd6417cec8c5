// Lines that become known in any order, written in the order of their places. Those that wait for
// an earlier one are in a file beside the output, not in memory: nothing that was finished is lost
// with the process, and 16 bytes a line are all that is kept.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/output_file.h"
#include "io/result_line.h"

namespace prefold {

class OrderedLines {
 public:
  // Lines go to `output`, the first one being that of place n_written. path: of the file for those
  // that wait, made when the first one has to; empty: a temporary file, for an output that no run
  // could continue. It takes up to as much room as the results: what has been written is given up
  // only when nothing waits.
  OrderedLines(OutputFile& output, std::string path, int64_t n_written);

  // Takes up the lines that an earlier run left waiting, each told to on_line; a torn one at the
  // end is cut off, those of places that are written already are passed over. Before the first
  // write.
  void load(const std::function<void(const ResultHead& head)>& on_line);

  void write(int64_t place, std::string_view line);

  // As OutputFile's, of both files.
  void flush();
  void sync();
  bool is_synced() const;

  // Whether a line of that place was loaded or written.
  bool has(int64_t place) const;
  int64_t n_waiting() const { return n_waiting_; }

  // Gives the file up, when nothing waits any more and the output has been synced.
  void remove_file();

 private:
  struct Waiting {
    int64_t offset = -1;  // in the file, of the line itself; -1: none yet
    int64_t n_bytes = 0;
  };
  void open_file();
  void write_those_whose_turn_it_is();
  std::string read_back(const Waiting& waiting);

  OutputFile& output_;
  std::string path_;
  std::unique_ptr<AppendFile> file_;  // of waiting lines; null: none
  std::deque<Waiting> waiting_;       // by place, from n_written_ on
  int64_t n_written_;
  int64_t n_waiting_ = 0;
};

}  // namespace prefold
