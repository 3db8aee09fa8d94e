#pragma once

#include "catch.hpp"
#include "ledger.hpp"
#include "releases.hpp"
#include "scratch.hpp"
#include "swap.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace safe_deploy {

// An app with releases beside each other below `releases`.
struct Host {
  explicit Host(const std::vector<std::string>& names) {
    config.app = "app";
    config.file = "app.conf";
    config.link = scratch / "current";
    config.releases = scratch / "releases";
    std::filesystem::create_directory(config.releases);
    for (const auto& name : names) add(name);
    places = {scratch / "state", scratch / "run"};
  }
  void add(const std::string& name) const {
    std::filesystem::create_directory(std::filesystem::path(config.releases) / name);
  }
  [[nodiscard]] State state() const { return Ledger::read(places.state_dir, "app").value(); }
  [[nodiscard]] std::string current() const {
    return std::filesystem::canonical(config.link).filename().string();
  }
  [[nodiscard]] std::string previous() const {
    return std::filesystem::canonical(previous_link(config)).filename().string();
  }

  template <class Step>
  void step(Step step) const {
    auto change = Ledger::Change::begin(places.state_dir, "app");
    REQUIRE(change);
    REQUIRE(change->commit(step(change->state(), Moment::now())));
  }
  void pass() const {
    step([](State& s, const Moment& now) { return step::passed(s, false, now); });
  }
  void deploy(const std::string& release) const {
    REQUIRE(swap_to_release(config, places, {.release = release}));
    pass();
  }
  void request(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(scratch / "run/app");
    std::filesystem::create_symlink(text, scratch / ("run/app/" + name));
  }

  Scratch scratch;
  Config config;
  Places places;
};

} // namespace safe_deploy
