#include "checks/context.hpp"

#include "releases.hpp"

namespace safe_deploy {

CheckContext make_context(const Config& config, std::string credentials) {
  CheckContext context{.app = config.app,
                       .link = config.link,
                       .unit = config.unit,
                       .credentials = std::move(credentials),
                       .units = std::make_shared<Units>()};
  // Without a release there is nothing for ${release}; a check that wants it says so.
  if (const auto releases = Releases::open(config))
    if (auto current = releases->named_by(config.link)) context.release = std::move(*current);
  return context;
}

} // namespace safe_deploy
