#pragma once

#include "config.hpp"
#include "ledger.hpp"
#include "swap.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>

// A host with one app, all of it below one directory.
namespace crash {

// What was found wrong; the text says what.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T>
T need(safe_deploy::Result<T> result, const char* what) {
  if (!result) throw Wrong(std::string(what) + ": " + result.error().text());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline const std::string app_name = "app";
inline const std::string releases_name = "releases";

class Host {
 public:
  // Takes what is there; nothing is made.
  explicit Host(std::filesystem::path root);

  // Directories, configuration and no release.
  void create() const;
  void add(const std::string& release) const;
  // What makes a release of it, but for its name.
  void add_files(const std::string& release, int count) const;

  [[nodiscard]] bool is_complete(const std::string& release) const;
  [[nodiscard]] std::string link_text(const std::string& name) const; // empty if there is none
  // The release that `current` leads to. Wrong if it is none, or an incomplete one.
  [[nodiscard]] std::string current() const;
  [[nodiscard]] safe_deploy::State state() const;

  // By the library, as the tools do it.
  void swap(const std::string& release) const;
  void pass() const;
  void deploy(const std::string& release) const;
  void roll_back(const std::string& reason) const;
  template <class Step>
  void step(Step step) const {
    auto change = need(safe_deploy::Ledger::Change::begin(places.state_dir, app_name), "the lock");
    need(change.commit(step(change.state(), safe_deploy::Moment::now())), "a step");
  }
  void request(const std::string& name, const std::string& release) const;
  // As after a reboot: what is under way was begun in another boot.
  void reboot() const;

  std::filesystem::path root;
  std::filesystem::path links; // the directory of the links
  std::filesystem::path releases;
  std::filesystem::path app_state; // STATE_DIR/APP
  std::filesystem::path state_file;
  std::filesystem::path history_file;
  safe_deploy::Places places;
  safe_deploy::Config config;
};

} // namespace crash
