#include "tokenizer/jinja/symbols.h"

#include <algorithm>

namespace prefold::jinja {

int32_t FunctionScope::slot_of(int32_t level, const std::string& name) {
  const auto [it, is_new] = slots.try_emplace({level, name}, function->n_slots);
  if (is_new) ++function->n_slots;
  return it->second;
}

std::optional<Symbols::Place> Symbols::find(const std::string& name) const {
  for (const Symbols* scope = this; scope != nullptr; scope = scope->parent_) {
    const auto it = scope->refs_.find(name);
    if (it != scope->refs_.end()) return Place{scope->function_, it->second};
  }
  return std::nullopt;
}

VariableRef Symbols::relative(const Place& place) const {
  VariableRef ref{0, place.slot};
  for (const FunctionScope* at = function_; at != place.function; at = at->parent) ++ref.n_hops;
  return ref;
}

int32_t Symbols::define(const std::string& name, VariableLoad load) {
  load.slot = function_->slot_of(level_, name);
  refs_[name] = load.slot;
  const int32_t slot = load.slot;
  loads_[slot] = std::move(load);
  return slot;
}

void Symbols::load(const std::string& name) {
  if (!find(name)) define(name, {.from = VariableLoad::From::kContext, .name = name});
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (refs_.count(name) != 0) return;
  const std::optional<Place> outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
  if (outer) {
    define(name, {.from = VariableLoad::From::kOuter, .outer = relative(*outer)});
  } else {
    define(name, {.from = VariableLoad::From::kNothing});
  }
}

int32_t Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  return define(name, {.from = VariableLoad::From::kParameter});
}

VariableRef Symbols::resolve(const std::string& name) {
  load(name);
  return relative(*find(name));
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
    const std::optional<Place> outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
    VariableLoad& load = loads_[refs_.at(name)];
    load.slot = refs_.at(name);
    load.name = name;
    load.from = outer ? VariableLoad::From::kOuter : VariableLoad::From::kContext;
    if (outer) load.outer = relative(*outer);
  }
}

Scope Symbols::to_scope() const {
  Scope scope;
  for (const auto& [slot, load] : loads_) scope.loads.push_back(load);
  return scope;
}

}  // namespace prefold::jinja
