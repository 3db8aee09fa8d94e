#include "json.hpp"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace safe_deploy {

std::string to_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json parse_json(const std::string& text) {
  return Json::parse(text, nullptr, false);
}

} // namespace safe_deploy
