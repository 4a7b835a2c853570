#include "common/named_thread.h"

#include <exception>
#include <pthread.h>
#include <utility>

namespace dcn {
namespace {

constexpr std::size_t kMaxNameLength = 15;  // of Linux

void RunNamed(const std::string& name, const std::function<void()>& body,
              const std::function<void(std::string_view what)>& on_exception) {
  ::pthread_setname_np(::pthread_self(), name.substr(0, kMaxNameLength).c_str());
  try {
    body();
  } catch (const std::exception& error) {
    on_exception(error.what());
  } catch (...) {
    on_exception("an exception of an unknown kind");
  }
}

}  // namespace

NamedThread::NamedThread(std::string name, std::function<void()> body,
                         std::function<void(std::string_view what)> on_exception)
    : thread_([name = std::move(name), body = std::move(body),
               on_exception = std::move(on_exception)] { RunNamed(name, body, on_exception); }) {}

void NamedThread::Join() {
  if (thread_.joinable()) thread_.join();
}

void NamedThread::Detach() {
  if (thread_.joinable()) thread_.detach();
}

}  // namespace dcn
