// For-loops and the special variable `loop`.
#include <fmt/format.h>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/evaluator.h"
#include "tokenizer/jinja/print.h"

namespace prefold::jinja {
namespace {

// The items of a loop that pass its own test. The test runs when an item is asked for, and its
// variables are apart from those of the body.
class FilteredIterator : public Iterator {
 public:
  FilteredIterator(Runtime& rt, const Stmt& stmt, Activation* outer,
                   std::unique_ptr<Iterator> items)
      : stmt_(stmt),
        activation_(rt, stmt.functions[1], outer),
        evaluator_(rt, activation_.get()),
        items_(std::move(items)) {}

  bool next(Runtime& rt, Value* item) override {
    if (!is_started_) evaluator_.enter(stmt_.scopes[2]);
    is_started_ = true;
    while (items_->next(rt, item)) {
      evaluator_.assign(*stmt_.test_target, *item);
      if (!truthy(evaluator_.eval(*stmt_.exprs[1]))) continue;
      return true;
    }
    return false;
  }

 private:
  const Stmt& stmt_;
  ActivationHolder activation_;
  Evaluator evaluator_;
  std::unique_ptr<Iterator> items_;
  bool is_started_ = false;
};

// `loop`. Looking at what comes next takes items from the iterator early.
class LoopObject : public Object {
 public:
  LoopObject(std::unique_ptr<Iterator> items, std::optional<int64_t> n_items, int64_t depth0,
             Object* recursion)
      : items_(std::move(items)), n_items_(n_items), depth0_(depth0), recursion_(recursion) {}

  std::string type_name() const override { return "LoopContext"; }
  void append_repr(Runtime& rt, std::string* out) override {
    *out += fmt::format("<LoopContext {}/{}>", index0_ + 1, *length(rt));
  }

  bool advance(Runtime& rt, Value* item) {
    if (has_next_) {
      *item = std::move(next_);
      has_next_ = false;
    } else if (!items_->next(rt, item)) {
      return false;
    }
    ++index0_;
    previous_ = std::move(current_);
    current_ = *item;
    return true;
  }

  std::optional<int64_t> length(Runtime& rt) override {
    if (n_items_) return n_items_;
    std::vector<Value> rest;
    for (Value item; items_->next(rt, &item);) rest.push_back(std::move(item));
    n_items_ = static_cast<int64_t>(rest.size()) + index0_ + 1 + (has_next_ ? 1 : 0);
    items_ = find_iterator(rt.list(std::move(rest)));
    return n_items_;
  }

  Value attribute(Runtime& rt, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Runtime& rt, CallArgs args) override {
    if (recursion_ == nullptr) {
      rt.fail("the loop must have the 'recursive' marker to be called recursively");
    }
    args.positional.push_back(Value::integer(depth0_ + 1));
    return recursion_->call(rt, std::move(args));
  }

  Value cycle(Runtime& rt, CallArgs args) const {
    if (!args.named.empty()) rt.fail("cycle() takes no keyword arguments");
    if (args.positional.empty()) rt.fail("no items for cycling given");
    return args.positional[static_cast<size_t>(index0_) % args.positional.size()];
  }

  Value changed(Runtime& rt, CallArgs args) {
    if (!args.named.empty()) rt.fail("changed() takes no keyword arguments");
    Value now = rt.tuple(std::move(args.positional));
    rt.step(now.weight());
    const bool is_changed = last_changed_.is_missing() || !equal(last_changed_, now);
    last_changed_ = std::move(now);
    return Value::boolean(is_changed);
  }

 private:
  bool peek(Runtime& rt) {
    if (!has_next_) has_next_ = items_->next(rt, &next_);
    return has_next_;
  }

  std::unique_ptr<Iterator> items_;
  std::optional<int64_t> n_items_;
  int64_t depth0_;
  Object* recursion_;
  int64_t index0_ = -1;
  bool has_next_ = false;
  Value next_;
  Value current_;
  Value previous_;
  Value last_changed_;
};

// loop.cycle and loop.changed.
class LoopMethod : public Object {
 public:
  LoopMethod(LoopObject* loop, bool is_cycle) : loop_(loop), is_cycle_(is_cycle) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Runtime& rt, CallArgs args) override {
    return is_cycle_ ? loop_->cycle(rt, std::move(args)) : loop_->changed(rt, std::move(args));
  }

 private:
  LoopObject* loop_;
  bool is_cycle_;
};

Value LoopObject::attribute(Runtime& rt, std::string_view name) {
  if (name == "index0") return Value::integer(index0_);
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek(rt));
  if (name == "length") return Value::integer(*length(rt));
  if (name == "revindex") return Value::integer(*length(rt) - index0_);
  if (name == "revindex0") return Value::integer(*length(rt) - index0_ - 1);
  if (name == "depth0") return Value::integer(depth0_);
  if (name == "depth") return Value::integer(depth0_ + 1);
  if (name == "previtem") {
    return index0_ == 0 ? Value::undefined("there is no previous item") : previous_;
  }
  if (name == "nextitem") return peek(rt) ? next_ : Value::undefined("there is no next item");
  if (name == "cycle") return Value::object(rt.own<LoopMethod>(this, true));
  if (name == "changed") return Value::object(rt.own<LoopMethod>(this, false));
  return {};
}

// What `loop(children)` runs.
class Recursion : public Object {
 public:
  Recursion(const Stmt& stmt, Activation* outer) : stmt_(stmt), outer_(outer) {}
  std::string type_name() const override { return "function"; }
  bool callable() const override { return true; }

  std::string run(Runtime& rt, const Value& iterable, int64_t depth0) {
    if (depth0 > kMaxMacroDepth) rt.fail("a loop calls itself too deeply");
    const ActivationHolder activation(rt, stmt_.functions[0], outer_);
    std::string out;
    Evaluator(rt, activation.get()).run_loop(stmt_, iterable, depth0, this, &out);
    return out;
  }

  // The last argument is the depth, which `loop` adds.
  Value call(Runtime& rt, CallArgs args) override {
    const int64_t depth0 = args.positional.back().as_int();
    args.positional.pop_back();
    const std::vector<Value> given = bind(rt, "loop", std::move(args), {"iterable"}, 1);
    return rt.string(run(rt, given[0], depth0));
  }

 private:
  const Stmt& stmt_;
  Activation* outer_;
};

}  // namespace

Flow Evaluator::run_loop(const Stmt& stmt, const Value& iterable, int64_t depth0, Object* recursion,
                         std::string* out) {
  std::unique_ptr<Iterator> items = iterate(rt_, iterable);
  std::optional<int64_t> n_items = length_of(rt_, iterable);
  if (stmt.exprs[1] != nullptr) {
    items = std::make_unique<FilteredIterator>(rt_, stmt, activation_, std::move(items));
    n_items.reset();
  }
  LoopObject* loop = nullptr;
  if (stmt.is_extended) {
    loop = rt_.own<LoopObject>(std::move(items), n_items, depth0, recursion);
    set_slot(stmt.loop_variable, Value::object(loop));
  }
  // Jinja's own rule: else runs unless some run of the body came to its end, without continue.
  bool runs_else = true;
  for (Value item;;) {
    rt_.set_line(stmt.line);
    if (!(loop != nullptr ? loop->advance(rt_, &item) : items->next(rt_, &item))) break;
    assign(*stmt.target, item);
    enter(stmt.scopes[0]);
    const Flow flow = run(stmt.bodies[0], out);
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNormal) runs_else = false;
  }
  leave(stmt.scopes[0]);
  if (!runs_else || stmt.bodies[1].empty()) return Flow::kNormal;
  enter(stmt.scopes[1]);
  const Flow flow = run(stmt.bodies[1], out);
  leave(stmt.scopes[1]);
  return flow;
}

std::string run_recursive_loop(Runtime& rt, const Stmt& stmt, Activation* outer,
                               const Value& iterable) {
  return rt.own<Recursion>(stmt, outer)->run(rt, iterable, 0);
}

}  // namespace prefold::jinja
