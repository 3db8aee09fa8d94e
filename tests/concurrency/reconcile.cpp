#include "config.hpp"
#include "swap.hpp"

#include <cstdio>
#include <cstdlib>

using namespace safe_deploy;

namespace {

const char* directory(const char* name) {
  const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

} // namespace

// reconcile() for the app "demo" in the directories that the environment names, whether or not a deploy is
// going on: as it is at boot.
int main() {
  const auto config = load_config(directory("SAFE_DEPLOY_CONFIG_DIR"), "demo");
  if (!config) {
    (void)std::fprintf(stderr, "reconcile: %s\n", config.error().text().c_str());
    return static_cast<int>(config.error().outcome());
  }
  const auto moved =
      reconcile(*config, {directory("SAFE_DEPLOY_STATE_DIR"), directory("SAFE_DEPLOY_RUN_DIR")});
  if (moved) return 0;
  (void)std::fprintf(stderr, "reconcile: %s\n", moved.error().text().c_str());
  return static_cast<int>(moved.error().outcome());
}
