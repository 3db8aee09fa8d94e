#pragma once

#include "config.hpp"
#include "options.hpp"
#include "swap.hpp"

#include <fmt/format.h>

namespace safe_deploy {

// What every tool with --app begins with: the app's configuration and places; what is said from here on
// carries the app's name.
struct App {
  Config config;
  Places places;
};

inline Result<App> load_app(const CommandLine& line, std::string_view name, Reporter& report) {
  const Directories where = directories(line);
  auto config = load_config(where.config, name);
  if (!config) return forward_error(config);
  report.set_field("SAFE_DEPLOY_APP", config->app);
  return App{std::move(*config), {where.state, where.run}};
}

} // namespace safe_deploy
