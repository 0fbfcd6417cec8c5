// The steps of a job that is read and planned, on an engine that is set up: scheduled, run, their
// answers handed to the writer's thread, and all of it counted.
#pragma once

#include <functional>

#include "engine/engine.h"
#include "plan/cost_model.h"
#include "plan/prefix_tree.h"
#include "report/metrics.h"
#include "report/progress.h"
#include "run/batch_runner.h"
#include "run/job_output.h"
#include "run/options.h"
#include "run/prepared_job.h"
#include "run/text_model.h"
#include "schedule/scheduler.h"

namespace prefold {

struct JobSteps {
  const RunConfig& config;
  const ModelConfig& model;
  const CostModel& costs;
  const TextModel& text;
  PreparedJob& prepared;
  const PrefixTree& tree;
  const Job& job;
  JobOutput& output;  // the writer's own until this returns
  StopControl& stop;
  const std::function<void(const ProgressCounts&)>& progress;  // after each step
};

// Until every sequence has ended or `stop` says so. Adds to `metrics` what steps and answers came
// to. An Error of the writer ends the run; what was finished before it is written.
void run_steps(const JobSteps& run, Engine& engine, const ScheduleLimits& limits,
               RunMetrics& metrics);

}  // namespace prefold
