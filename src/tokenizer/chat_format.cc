#include "tokenizer/chat_format.h"

#include <nlohmann/json.hpp>

namespace prefold {

std::string quoted_name(const std::string& name) {
  using Json = nlohmann::json;
  return Json(name.substr(0, 64)).dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace prefold
