#include "bench/workloads.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "bench/random.h"
#include "bench/texts.h"

namespace prefold {
namespace {

using Requests = std::vector<BenchRequest>;

void add(Requests& requests, std::string prompt, int32_t max_tokens) {
  requests.push_back({"", std::move(prompt), max_tokens});
}

std::string ask_problem(const Problem& problem) {
  return fmt::format("Question: {}\nAnswer:", problem.question);
}

std::string worked(const Problem& problem) {
  return fmt::format("{} {}\n\n", ask_problem(problem), problem.answer);
}

// An instruction and n_shots worked problems of moderate length, taken out of `problems`.
std::string few_shot_head(const BenchTexts& texts, std::vector<size_t>& problems, int n_shots) {
  constexpr int64_t kMostWords = 85;
  std::string head = "Solve each problem step by step. End with #### and the answer.\n\n";
  for (int i = 0; i < n_shots; ++i) {
    const auto shot = std::find_if(problems.begin(), problems.end(), [&](size_t problem) {
      return count_words(worked(texts.problems[problem])) <= kMostWords;
    });
    head += worked(texts.problems[*shot]);
    problems.erase(shot);
  }
  return head;
}

// Each of n_questions problems after the same worked ones.
Requests ask_problems(const BenchTexts& texts, Random& random, int n_shots, size_t n_questions,
                      int32_t max_tokens) {
  std::vector<size_t> problems = random.sample(texts.problems.size(), texts.problems.size());
  const std::string head = few_shot_head(texts, problems, n_shots);
  problems.resize(n_questions);
  Requests requests;
  for (size_t problem : problems) {
    add(requests, head + ask_problem(texts.problems[problem]), max_tokens);
  }
  return requests;
}

// The article's title and its text, cut to n_words words.
std::string document(const Article& article, int64_t n_words) {
  std::string text = article.title + "\n";
  for (const std::string& paragraph : article.paragraphs) text += "\n" + paragraph;
  return std::string(first_words(text, n_words));
}

std::string ask_article(const std::string& question) {
  return fmt::format("\n\nPregunta: {}\nRespuesta:", question);
}

// Each of n_documents articles with n_questions of its questions.
Requests ask_documents(const BenchTexts& texts, Random& random, const std::string& head,
                       size_t n_documents, size_t n_questions, int64_t n_words,
                       int32_t max_tokens) {
  Requests requests;
  for (size_t article_idx : random.sample(texts.articles.size(), n_documents)) {
    const Article& article = texts.articles[article_idx];
    const std::string prefix = head + document(article, n_words);
    for (size_t question :
         random.sample(article.questions.size(), std::min(n_questions, article.questions.size()))) {
      add(requests, prefix + ask_article(article.questions[question]), max_tokens);
    }
  }
  return requests;
}

Requests make_shared8shot(const BenchTexts& texts, Random& random) {
  return ask_problems(texts, random, 8, 64, 32);
}

Requests make_groups(const BenchTexts& texts, Random& random) {
  return ask_documents(texts, random, "", 16, 8, 240, 32);
}

Requests make_twolevel(const BenchTexts& texts, Random& random) {
  return ask_documents(texts, random, texts.instruction + "\nArticle: ", 4, 8, 200, 16);
}

// About n_words words of running text from a paragraph on.
std::string passage(const BenchTexts& texts, size_t first_paragraph, int64_t n_words) {
  std::vector<const std::string*> paragraphs;
  for (const Article& article : texts.articles) {
    for (const std::string& paragraph : article.paragraphs) paragraphs.push_back(&paragraph);
  }
  std::string text;
  for (size_t i = first_paragraph; count_words(text) < n_words; ++i) {
    text += *paragraphs[i % paragraphs.size()] + "\n";
  }
  return std::string(first_words(text, n_words));
}

Requests make_ragged(const BenchTexts& texts, Random& random) {
  constexpr double kFewestWords = 6;
  constexpr double kDoublings = 6.3;
  size_t n_paragraphs = 0;
  for (const Article& article : texts.articles) n_paragraphs += article.paragraphs.size();
  Requests requests;
  for (size_t paragraph : random.sample(n_paragraphs, 100)) {
    // About as many prompts of each order of magnitude. Linear between the powers of two: libm's
    // last bits differ between machines.
    const double doublings = random.uniform() * kDoublings;
    const double whole = std::floor(doublings);
    const double n_words =
        kFewestWords * std::ldexp(1.0 + (doublings - whole), static_cast<int>(whole));
    add(requests, passage(texts, paragraph, static_cast<int64_t>(n_words)), 4);
  }
  return requests;
}

Requests make_decode(const BenchTexts& texts, Random& random) {
  Requests requests;
  for (size_t article : random.sample(texts.articles.size(), 32)) {
    add(requests, fmt::format("Write a long text about {}.", texts.articles[article].title), 128);
  }
  return requests;
}

// Most answers short, few very long: the length exceeds x with a chance of 12 / x.
int32_t long_tailed_length(Random& random) {
  return static_cast<int32_t>(std::min(320.0, 12.0 / (1.0 - random.uniform())));
}

Requests make_mixed(const BenchTexts& texts, Random& random) {
  Requests requests = ask_documents(texts, random, "", 4, 6, 240, 0);
  for (BenchRequest& request : ask_problems(texts, random, 4, 24, 0)) {
    requests.push_back(std::move(request));
  }
  for (size_t function : random.sample(texts.functions.size(), 16)) {
    add(requests, texts.functions[function] + "\n", 0);
  }
  for (BenchRequest& request : requests) request.max_tokens = long_tailed_length(random);
  return requests;
}

Requests make_duplicates(const BenchTexts& texts, Random& random) {
  constexpr int kCopies = 4;
  Requests requests;
  for (size_t function : random.sample(texts.functions.size(), 12)) {
    for (int i = 0; i < kCopies; ++i) add(requests, texts.functions[function] + "\n", 32);
  }
  for (size_t problem : random.sample(texts.problems.size(), 12)) {
    for (int i = 0; i < kCopies; ++i) add(requests, ask_problem(texts.problems[problem]), 32);
  }
  return requests;
}

// Prefix 2000, distinct 200, output 100 tokens, degree 16, all lengths halved. The own part is two
// worked problems, cut: an article has no 16 questions of 100 tokens.
Requests make_batchllm(const BenchTexts& texts, Random& random) {
  constexpr size_t kGroups = 4;
  constexpr size_t kDegree = 16;
  constexpr int64_t kPrefixWords = 450;
  constexpr int64_t kDistinctWords = 72;
  std::vector<size_t> problems = random.sample(texts.problems.size(), 2 * kGroups * kDegree);
  Requests requests;
  for (size_t article : random.sample(texts.articles.size(), kGroups)) {
    const std::string prefix = document(texts.articles[article], kPrefixWords) + "\n\n";
    for (size_t i = 0; i < kDegree; ++i) {
      std::string own;
      for (int k = 0; k < 2; ++k) {
        own += worked(texts.problems[problems.back()]);
        problems.pop_back();
      }
      add(requests, prefix + std::string(first_words(own, kDistinctWords)), 50);
    }
  }
  return requests;
}

struct WorkloadKind {
  const char* name;
  const char* description;
  Requests (*make)(const BenchTexts& texts, Random& random);
};

constexpr WorkloadKind kKinds[] = {
    {"shared8shot", "64 problems after the same 8 worked examples, 32 tokens each",
     &make_shared8shot},
    {"groups", "16 articles x 8 questions, 32 tokens each", &make_groups},
    {"twolevel", "one instruction, 4 articles x 8 questions, 16 tokens each", &make_twolevel},
    {"ragged", "100 unrelated prompts of 6 to 470 words, 4 tokens each", &make_ragged},
    {"decode", "32 short prompts, 128 tokens each", &make_decode},
    {"mixed",
     "24 questions on 4 articles, 24 problems after 4 examples, 16 functions; answers of "
     "12 to 320 tokens, most of them short",
     &make_mixed},
    {"duplicates", "24 prompts, each 4 times, 32 tokens each", &make_duplicates},
    {"batchllm",
     "4 groups of 16: prefix 1000, own part 100, answer 50 tokens (BatchLLM's "
     "2000/200/100, halved)",
     &make_batchllm},
};

// A workload's own stream of numbers: FNV-1a of its name, and the seed.
uint64_t stream_of(std::string_view name, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325u ^ seed;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const WorkloadKind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

Workload make_workload(std::string_view name, uint64_t seed) {
  const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                 [&](const WorkloadKind& each) { return name == each.name; });
  if (kind == std::end(kKinds)) {
    throw Error(fmt::format("--workload is \"{}\"; expected one of: {}", name,
                            fmt::join(workload_names(), ", ")));
  }
  Random random(stream_of(name, seed));
  Workload workload{kind->name, kind->description, seed, kind->make(bench_texts(), random)};
  for (size_t i = 0; i < workload.requests.size(); ++i) {
    workload.requests[i].id = fmt::format("{}-{:03}", name, i);
  }
  random.shuffle(workload.requests);
  return workload;
}

}  // namespace prefold
