#pragma once

#include "health/request.hpp"
#include "health/watch.hpp"
#include "json.hpp"
#include "policy.hpp"

#include <string>

namespace safe_deploy::health {

// How a wait ended, for those who read it.
struct Conclusion {
  int code = 0;
  std::string outcome; // for --json
  std::string reason;  // a stable word, of the answer or of the end
  std::string text;
  std::string check = {}; // whose answer decided
};

Conclusion conclude(const Waited& waited, const Request& request, const Watched& watched);

// For a wait that did not begin, because `why` was known before.
Conclusion not_begun(const std::string& why);

Json to_json(const Waited& waited, const Conclusion& conclusion);

} // namespace safe_deploy::health
