#include "host.hpp"

#include "link.hpp"
#include "tree.hpp"

#include <utility>

namespace fs = std::filesystem;
using namespace safe_deploy;

namespace crash {

Host::Host(fs::path top)
    : root(std::move(top)),
      links(root / "srv"),
      releases(links / releases_name),
      app_state(root / "state" / app_name),
      state_file(app_state / "state.json"),
      history_file(app_state / "history.jsonl"),
      places{root / "state", root / "run"} {
  config.app = app_name;
  config.file = root / "etc/app.conf";
  config.link = links / "current";
  config.releases = releases;
  config.require = {"bin/server"};
}

void Host::create() const {
  fs::create_directories(releases);
  fs::create_directories(places.state_dir);
  fs::create_directories(places.run_dir);
  write_text(config.file, "[app]\nlink = " + config.link + "\nreleases = " + config.releases +
                              "\nrequire = bin/server\nkeep = 2\n");
}

void Host::add(const std::string& release) const {
  write_text(releases / release / "bin/server", release);
}

void Host::add_files(const std::string& release, int count) const {
  for (int i = 0; i < count; ++i)
    write_text(releases / release / ("lib" + std::to_string(i % 2)) / "deep" / std::to_string(i), "x");
}

bool Host::is_complete(const std::string& release) const {
  const fs::path server = releases / release / "bin/server";
  return fs::is_regular_file(server) && read_text(server) == release;
}

std::string Host::link_text(const std::string& name) const {
  auto text = need(read_link(links / name), "a link");
  return text.value_or("");
}

std::string Host::current() const {
  const fs::path target = fs::weakly_canonical(config.link);
  if (!fs::is_directory(target)) throw Wrong("current leads to no directory: " + link_text("current"));
  const std::string release = target.filename();
  if (target.parent_path() != fs::canonical(releases) || !is_complete(release))
    throw Wrong("current leads to no complete release: " + link_text("current"));
  return release;
}

State Host::state() const {
  return need(Ledger::read(places.state_dir, app_name), "the state");
}

void Host::swap(const std::string& release) const {
  (void)need(swap_to_release(config, places,
                             {.release = release, .force = false, .durable = true, .dry_run = false}),
             "the swap");
}

void Host::pass() const {
  step([](State& state, const Moment& now) { return step::passed(state, false, now); });
}

void Host::deploy(const std::string& release) const {
  swap(release);
  pass();
}

void Host::roll_back(const std::string& reason) const {
  (void)need(safe_deploy::roll_back(config, places,
                                    {.release = {}, .reason = reason, .durable = true, .dry_run = false}),
             "the rollback");
}

void Host::request(const std::string& name, const std::string& release) const {
  fs::create_directories(root / "run" / app_name);
  fs::create_symlink(release, root / "run" / app_name / name);
}

void Host::reboot() const {
  const std::string boot = state().since.boot;
  std::string text = read_text(state_file);
  const std::size_t found = text.find(boot);
  if (boot.empty() || found == std::string::npos) throw Wrong("the state names no boot");
  write_text(state_file, text.replace(found, boot.size(), std::string(boot.size(), '0')));
}

} // namespace crash
