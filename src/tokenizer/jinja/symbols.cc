#include "tokenizer/jinja/symbols.h"

#include <algorithm>
#include <iterator>

namespace prefold::jinja {

int32_t FunctionScope::slot_of(int32_t level, const std::string& name) {
  const auto [it, is_new] = slots.try_emplace({level, name}, function->n_slots);
  if (is_new) ++function->n_slots;
  return it->second;
}

Symbols::Place Symbols::find(const std::string& name) const {
  for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_) {
    const auto it = scope->refs_.find(name);
    if (it != scope->refs_.end()) return {scope->function_, it->second};
  }
  return {};
}

VariableRef Symbols::relative(const Place& place) const {
  VariableRef ref{0, place.slot};
  for (const FunctionScope* at = function_; at != place.function; at = at->parent) ++ref.n_hops;
  return ref;
}

int32_t Symbols::define(const std::string& name, VariableLoad::From from, VariableRef outer) {
  const int32_t slot = function_->slot_of(level_, name);
  refs_[name] = slot;
  loads_[slot] = VariableLoad{slot, from, name, outer};
  return slot;
}

void Symbols::load(const std::string& name) {
  if (find(name).function == nullptr) define(name, VariableLoad::From::kContext);
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (refs_.count(name) != 0) return;
  const Place outer = find_outside(name);
  if (outer.function != nullptr) {
    define(name, VariableLoad::From::kOuter, relative(outer));
  } else {
    define(name, VariableLoad::From::kNothing);
  }
}

int32_t Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  return define(name, VariableLoad::From::kParameter);
}

VariableRef Symbols::resolve(const std::string& name) {
  load(name);
  return relative(find(name));
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string> newly_stored;
  for (const Symbols& branch : branches) {
    std::set_difference(branch.stores_.begin(), branch.stores_.end(), stores_.begin(),
                        stores_.end(), std::inserter(newly_stored, newly_stored.end()));
  }
  for (const Symbols& branch : branches) {
    for (const auto& [name, slot] : branch.refs_) refs_[name] = slot;
    for (const auto& [slot, load] : branch.loads_) loads_[slot] = load;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const std::string& name : newly_stored) {
    const Place outer = find_outside(name);
    if (outer.function != nullptr) {
      define(name, VariableLoad::From::kOuter, relative(outer));
    } else {
      define(name, VariableLoad::From::kContext);
    }
  }
}

Scope Symbols::to_scope() const {
  Scope scope;
  for (const auto& [slot, load] : loads_) scope.loads.push_back(load);
  return scope;
}

}  // namespace prefold::jinja
