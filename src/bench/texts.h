// The source texts of the benchmark's workloads, compiled into the program: data/bench, whose
// README names origins and licences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

struct Problem {
  std::string question;
  std::string answer;  // worked, may have several lines
};

struct Article {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<std::string> questions;
};

struct BenchTexts {
  std::vector<Problem> problems;       // English, grade-school mathematics
  std::vector<std::string> functions;  // heads of Python functions
  std::vector<Article> articles;       // Spanish, encyclopedic
  std::string instruction;             // English, about 200 words
};

// The same for the whole life of the program.
const BenchTexts& bench_texts();

int64_t count_words(std::string_view text);

// The first n_words words of the text, or all of it.
std::string_view first_words(std::string_view text, int64_t n_words);

}  // namespace prefold
