// The decoder of tokenizer.json.
#include <algorithm>

#include "base/error.h"
#include "tokenizer/hf_components.h"

namespace prefold {
namespace {

constexpr size_t kMaxDepth = 8;
constexpr int64_t kMaxStrip = 1000;

class DecoderReader {
 public:
  DecoderSpec read(const JsonValue& json) {
    add(json, 0);
    return std::move(spec_);
  }

 private:
  void add(const JsonValue& json, size_t depth) {
    const JsonValue type = json.member("type");
    const std::string& name = type.string();
    if (name == "Sequence") {
      json.allow_only({"type", "decoders"});
      if (depth == kMaxDepth) json.fail(fmt::format("is nested more than {} deep", kMaxDepth));
      const JsonValue parts = json.member("decoders");
      for (size_t i = 0; i < parts.array_size(); ++i) add(parts.element(i), depth + 1);
    } else if (name == "ByteLevel") {
      json.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
      if (joined_ || spec_.byte_fallback) json.fail("comes after ByteFallback, Fuse or ByteLevel");
      spec_.join = DecoderSpec::Join::kBytes;
      joined_ = true;
    } else if (name == "ByteFallback") {
      json.allow_only({"type"});
      if (joined_ || spec_.byte_fallback) json.fail("comes after ByteFallback, Fuse or ByteLevel");
      spec_.byte_fallback = true;
    } else if (name == "Fuse") {
      json.allow_only({"type"});
      joined_ = true;
    } else if (name == "Replace" || name == "Metaspace") {
      if (joined_) json.fail("comes after Fuse or ByteLevel, which is not supported");
      add_edit(name == "Replace" ? read_replace(json) : read_metaspace(json));
    } else if (name == "Strip") {
      const DecoderSpec::Edit strip = read_strip(json);
      joined_ ? spec_.strips.push_back(strip) : add_edit(strip);
    } else {
      type.refuse(
          "a decoder that is supported: ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip "
          "or "
          "Sequence");
    }
  }

  void add_edit(DecoderSpec::Edit edit) {
    (spec_.byte_fallback ? spec_.edits_after_fallback : spec_.edits).push_back(std::move(edit));
  }

  static DecoderSpec::Edit read_replace(const JsonValue& json) {
    json.allow_only({"type", "pattern", "content"});
    const JsonValue pattern = json.member("pattern");
    pattern.allow_only({"String", "Regex"});
    DecoderSpec::Edit edit;
    if (const auto text = pattern.find("String")) {
      edit.pattern.text = text->string();
      if (edit.pattern.text.empty()) text->refuse("a string that is not empty");
    } else {
      edit.pattern = {TextPattern::Kind::kRegex, pattern.member("Regex").string()};
    }
    edit.content = json.member("content").string();
    return edit;
  }

  static DecoderSpec::Edit read_metaspace(const JsonValue& json) {
    json.allow_only(
        {"type", "replacement", "str_rep", "prepend_scheme", "split", "add_prefix_space"});
    DecoderSpec::Edit edit;
    edit.kind = DecoderSpec::Edit::Kind::kSpaces;
    const JsonValue replacement = json.member("replacement");
    edit.pattern.text = replacement.string();
    if (edit.pattern.text.empty()) replacement.refuse("one character");
    edit.drops_first = read_prepend_scheme(json) != MetaspacePrepend::kNever;
    return edit;
  }

  static DecoderSpec::Edit read_strip(const JsonValue& json) {
    json.allow_only({"type", "content", "start", "stop"});
    DecoderSpec::Edit edit;
    edit.kind = DecoderSpec::Edit::Kind::kStrip;
    const JsonValue content = json.member("content");
    edit.pattern.text = content.string();
    if (edit.pattern.text.empty()) content.refuse("one character");
    edit.start = static_cast<uint32_t>(json.member("start").integer(0, kMaxStrip));
    edit.stop = static_cast<uint32_t>(json.member("stop").integer(0, kMaxStrip));
    return edit;
  }

  DecoderSpec spec_;
  bool joined_ = false;
};

}  // namespace

DecoderSpec read_hf_decoder(const JsonValue& json) { return DecoderReader().read(json); }

}  // namespace prefold
