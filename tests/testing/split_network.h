// A network of this machine's own that can be cut: servers on one side, workers on the other, a
// router between them that passes on so many bits a second, loses what a test wants lost, and tells
// nobody.
//
//   namespace of the servers            router            namespace of the workers
//     10.213.1.1  ──── kServerLink ──── forwards ──── ────  10.213.2.1
#pragma once

#include <string>
#include <vector>

namespace dcn::testing {

/// Made of network namespaces, with `ip` and `tc`, as root. Seen by nobody outside.
class SplitNetwork {
 public:
  /// Why this machine cannot have one; "" where it can.
  [[nodiscard]] static std::string WhyNot();

  /// Throws std::runtime_error where a command fails. Removes what killed tests have left.
  SplitNetwork();
  /// Removes it all. Processes in it end before.
  ~SplitNetwork();
  SplitNetwork(const SplitNetwork&) = delete;
  SplitNetwork& operator=(const SplitNetwork&) = delete;

  /// The words before a command that runs it there, in the process that the command starts.
  [[nodiscard]] std::vector<std::string> AtServers() const { return At(servers_); }
  [[nodiscard]] std::vector<std::string> AtWorkers() const { return At(workers_); }
  /// Where servers listen.
  static constexpr const char* kServerHost = "10.213.1.1";

  /// Takes the servers' link down, or up again.
  void SetLink(bool is_up);
  /// What goes this way is lost from now on, or no longer.
  void LoseToServers(bool is_lost) { Lose(kServerHost, is_lost); }
  void LoseToWorkers(bool is_lost) { Lose(kWorkerHost, is_lost); }

 private:
  static constexpr const char* kWorkerHost = "10.213.2.1";
  static std::vector<std::string> At(const std::string& name);
  void Join(const std::string& name, const std::string& net);
  void Lose(const std::string& host, bool is_lost);

  const std::string servers_;
  const std::string workers_;
  const std::string router_;
};

}  // namespace dcn::testing
