// Root may do everything; a test of denied access has to step down.
#pragma once

#include <stdexcept>
#include <unistd.h>

namespace dcn::testing {

/// Acts as user "nobody" while it lives, where the test runs as root.
class AsOrdinaryUser {
 public:
  AsOrdinaryUser() : was_(::geteuid()) {
    constexpr uid_t kNobody = 65534;
    if (was_ == 0 && ::seteuid(kNobody) != 0) throw std::runtime_error("cannot step down");
  }
  ~AsOrdinaryUser() {
    if (::seteuid(was_) != 0) ::_exit(1);
  }
  AsOrdinaryUser(const AsOrdinaryUser&) = delete;
  AsOrdinaryUser& operator=(const AsOrdinaryUser&) = delete;

 private:
  uid_t was_;
};

}  // namespace dcn::testing
