// Several workers of one job at one server at the same time: pulls, and synchronous push-pull
// rounds, with rows of 8 to 256 floats and keys as skewed as those of large embedding tables.
#pragma once

namespace dcn::benchmarks {

/// Registers ServerPull/zipf/… and ServerPushPull/zipf/… for 1, 2, 4 and 8 clients.
void RegisterServerClients();

}  // namespace dcn::benchmarks
