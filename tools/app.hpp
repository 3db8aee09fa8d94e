#pragma once

#include "config.hpp"
#include "name.hpp"
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

// For what needs the record only, which must not hang on a configuration that broke meanwhile: the
// configuration holds nothing but the app's name.
inline Result<App> app_without_config(const CommandLine& line, std::string_view name, Reporter& report) {
  const Directories where = directories(line);
  auto app = parse_app_name(name);
  if (!app) return forward_error(app);
  report.set_field("SAFE_DEPLOY_APP", *app);
  App result{{}, {where.state, where.run}};
  result.config.app = *std::move(app);
  return result;
}

} // namespace safe_deploy
