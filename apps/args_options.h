// Declares options on a command: which field each sets, its range, what --help says. A subject of
// several options has a function of its own, kept in args_<subject>.cc, that the commands call.
//
// What an option takes is its type_name: FILE, FOLDER, MODEL, NAME=PATH, N, BYTES, DURATION, or the
// words of add_choice. Paths are completed by shells, and relative to its folder in a job file.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "commands.h"

namespace prefold {

// Whole commands; args.cc has their table.
void add_run_options(CLI::App& app, RunOptions& run);
void add_plan_command_options(CLI::App& app, PlanOptions& plan);
void add_check_options(CLI::App& app, CheckOptions& check);
void add_merge_options(CLI::App& app, MergeOptions& merge);
void add_bench_options(CLI::App& app, BenchOptions& bench);
void add_report_options(CLI::App& app, ReportOptions& report);
void add_inspect_options(CLI::App& app, InspectOptions& inspect);
void add_tokenize_options(CLI::App& app, TokenizeOptions& tokenize);
void add_render_options(CLI::App& app, RenderOptions& render);
void add_completions_options(CLI::App& app, CompletionsOptions& completions);
void add_man_options(CLI::App& app, ManOptions& man);

// args_run.cc
CLI::Option* add_model(CLI::App& app, std::string& model);
void add_inputs(CLI::App& app, std::vector<std::string>& inputs);  // patterns expanded
void add_output_options(CLI::App& app, RunOptions& run);
void add_max_tokens(CLI::App& app, RunOptions& run);
void add_sampling_options(CLI::App& app, RunOptions& run);

// args_seeing.cc; after add_output_options
void add_seeing_options(CLI::App& app, RunOptions& run);
// args_lora.cc
CLI::Option* add_lora_option(CLI::App& app, std::vector<LoraOption>& lora);
// args_stop.cc
void add_resume_option(CLI::App& app, RunOptions& run);
void add_stop_options(CLI::App& app, RunOptions& run);

// args_engine.cc
void add_plan_options(CLI::App& app, RunOptions& run);
void add_length_prior(CLI::App& app, RunOptions& run);  // after add_plan_options
void add_engine_options(CLI::App& app, RunOptions& run);
void add_ablation_options(CLI::App& app, RunOptions& run);

// args_shards.cc
void add_shard_options(CLI::App& app, PlanOptions& plan);

}  // namespace prefold
