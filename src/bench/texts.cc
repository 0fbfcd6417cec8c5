#include "bench/texts.h"

#include <string_view>

namespace prefold {
namespace bench_data {

// Made of the files by cmake/EmbedTexts.cmake.
extern const std::string_view articles_txt, functions_txt, instruction_txt, problems_txt;

}  // namespace bench_data
namespace {

constexpr std::string_view kRecordEnd = "\n%%\n";
constexpr std::string_view kQuestionMark = "? ";

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t end = text.find(separator); end != text.npos; end = text.find(separator)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> records(std::string_view file) {
  file.remove_suffix(1);  // the last line's end
  return split(file, kRecordEnd);
}

// A question on the first line, its answer on the others.
Problem parse_problem(std::string_view record) {
  const size_t end = record.find('\n');
  return {std::string(record.substr(0, end)), std::string(record.substr(end + 1))};
}

// The title on the first line, then a paragraph a line, then a question a line, each after "? ".
Article parse_article(std::string_view record) {
  const std::vector<std::string_view> lines = split(record, "\n");
  Article article{std::string(lines[0]), {}, {}};
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].substr(0, kQuestionMark.size()) == kQuestionMark) {
      article.questions.emplace_back(lines[i].substr(kQuestionMark.size()));
    } else {
      article.paragraphs.emplace_back(lines[i]);
    }
  }
  return article;
}

BenchTexts parse_texts() {
  BenchTexts texts;
  for (std::string_view record : records(bench_data::problems_txt)) {
    texts.problems.push_back(parse_problem(record));
  }
  for (std::string_view record : records(bench_data::functions_txt)) {
    texts.functions.emplace_back(record);
  }
  for (std::string_view record : records(bench_data::articles_txt)) {
    texts.articles.push_back(parse_article(record));
  }
  texts.instruction = bench_data::instruction_txt;
  return texts;
}

bool is_space(char c) { return c == ' ' || c == '\n'; }

}  // namespace

const BenchTexts& bench_texts() {
  static const BenchTexts texts = parse_texts();
  return texts;
}

int64_t count_words(std::string_view text) {
  int64_t n = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_space(text[i]) && (i == 0 || is_space(text[i - 1]))) ++n;
  }
  return n;
}

std::string_view first_words(std::string_view text, int64_t n_words) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (is_space(text[i]) && !is_space(text[i - 1]) && --n_words == 0) return text.substr(0, i);
  }
  return text;
}

}  // namespace prefold
