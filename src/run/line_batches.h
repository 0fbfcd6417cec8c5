// Input lines read on all threads, and handed on in input order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "io/finished_lines.h"
#include "io/request_reader.h"
#include "plan/prefix_tree.h"
#include "run/text_model.h"

namespace prefold {

struct ReadLine {
  RequestOrError read;
  std::vector<std::vector<int32_t>> prompts;  // of a request: one, or those of an embedding line
  int32_t adapter = kNoAdapter;
  bool is_finished = false;  // its id's answer is in LineReading::finished: it is not tokenised
};

struct LineReading {
  // Both null: lines are read, but not tokenised.
  const TextModel* text = nullptr;
  const RunConfig* config = nullptr;
  std::function<void(ReadLine& line)> on_line;  // in input order, on the calling thread
  std::function<void()> on_batch;               // after some lines, now and then
  const FinishedLines* finished = nullptr;      // answers that are there already
  std::function<bool()> should_stop = nullptr;  // asked after each batch
};

// Reads all lines. Memory: the lines of one batch, 512 of them or 8 MiB and a line, and what the
// reader remembers of ids. False if it was to stop before the end. Throws Error when reading fails.
bool read_lines(RequestReader& reader, ThreadPool& pool, const LineReading& reading);

}  // namespace prefold
