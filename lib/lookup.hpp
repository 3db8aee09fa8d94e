#pragma once

#include "address.hpp"
#include "deadline.hpp"
#include "error.hpp"

#include <future>
#include <string>
#include <utility>
#include <vector>

namespace safe_deploy {

// The addresses of a host name, in time. The resolver knows no deadline, so it is asked on a thread that is
// left behind where it does not answer; there is one at most, and its late answer is the next one's.
class Lookup {
 public:
  explicit Lookup(std::string host) : host_(std::move(host)) {}

  // As resolve(); Outcome::timed_out where the deadline passes first.
  Result<std::vector<Address>> addresses(const Deadline& deadline);

 private:
  std::string host_;
  std::future<Result<std::vector<Address>>> under_way_ = {};
};

} // namespace safe_deploy
