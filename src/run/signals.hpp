#pragma once

namespace qtrain::run {

/// Turns SIGINT and SIGTERM into a request to stop (a second one leaves at once with 128 + its number),
/// SIGHUP into a request for a checkpoint, and ignores SIGPIPE and SIGXFSZ, whose writes then fail as any
/// other. `worker`, of a job of several processes, says so when told to stop.
void install_signal_handlers(int worker = -1);

/// The signal that asked to stop, 0 when none did.
int stop_signal();
/// Whether SIGHUP came since the last call.
bool take_checkpoint_request();

}  // namespace qtrain::run
