#pragma once

#include "error.hpp"
#include "fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace safe_deploy {

// What comes to light beside the waiting: a jq filter that does not compile. The wait listens to the
// descriptor.
class LateError {
 public:
  LateError() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  [[nodiscard]] int fd() const { return event_.get(); }

  void tell(const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = error;
    }
    const std::uint64_t one = 1;
    (void)!write(event_.get(), &one, sizeof one);
  }

  // For CheckContext::on_late_error.
  static std::function<void(const Error&)> teller(std::shared_ptr<LateError> late) {
    return [late = std::move(late)](const Error& error) { late->tell(error); };
  }

  [[nodiscard]] std::optional<Error> get() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  Fd event_;
  mutable std::mutex mutex_;
  std::optional<Error> error_;
};

} // namespace safe_deploy
