// The variables of one block while scopes are resolved: which names it reads and sets, and how
// each gets its first value. The rules are those of Jinja's own compiler, so that a template sees
// the same values here, also where the rules surprise.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/jinja/ast.h"

namespace prefold::jinja {

// A Function of the tree with the slots given out so far.
struct FunctionScope {
  Function* function;
  FunctionScope* parent;
  // (nesting level of the block, name): blocks side by side share the slot of a name.
  std::map<std::pair<int32_t, std::string>, int32_t> slots;

  int32_t slot_of(int32_t level, const std::string& name);
};

class Symbols {
 public:
  Symbols(Symbols* parent, FunctionScope* function)
      : parent_(parent), function_(function), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  FunctionScope* function() const { return function_; }
  Symbols* parent() const { return parent_; }

  void load(const std::string& name);
  void store(const std::string& name);
  int32_t declare_parameter(const std::string& name);

  // The place of a name as seen from this block; a name never analysed is read from the context.
  VariableRef resolve(const std::string& name);

  // Takes over what the branches of an if-block found; a name that only some of them set starts
  // with its outer value.
  void merge_branches(const std::vector<Symbols>& branches);

  Scope to_scope() const;
  // What copying this costs, in names.
  size_t size() const { return refs_.size() + loads_.size() + stores_.size(); }

 private:
  // Where a name lives; a null function if no block up to the outermost knows it.
  struct Place {
    const FunctionScope* function = nullptr;
    int32_t slot = -1;
  };
  Place find(const std::string& name) const;
  Place find_outside(const std::string& name) const {
    return parent_ == nullptr ? Place() : parent_->find(name);
  }
  VariableRef relative(const Place& place) const;
  int32_t define(const std::string& name, VariableLoad::From from, VariableRef outer = {});

  Symbols* parent_;
  FunctionScope* function_;
  int32_t level_;
  std::map<std::string, int32_t> refs_;  // name to slot
  std::map<int32_t, VariableLoad> loads_;
  std::set<std::string> stores_;
};

}  // namespace prefold::jinja
