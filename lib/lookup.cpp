#include "lookup.hpp"

#include <thread>

namespace safe_deploy {

Result<std::vector<Address>> Lookup::addresses(const Deadline& deadline) {
  if (!under_way_.valid()) {
    std::packaged_task<Result<std::vector<Address>>()> task(
        [host = host_] { return resolve(host, Family::any); });
    under_way_ = task.get_future();
    std::thread(std::move(task)).detach();
  }
  if (!deadline.is_never() && under_way_.wait_until(deadline.when()) != std::future_status::ready)
    return fail(Outcome::timed_out, host_, "the name was not resolved");
  return under_way_.get();
}

} // namespace safe_deploy
