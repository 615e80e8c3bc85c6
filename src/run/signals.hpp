#pragma once

namespace qtrain::run {

/// Turns SIGINT and SIGTERM into a request to stop (a second one leaves at once with 128 + its number),
/// SIGHUP into a request for a checkpoint, and ignores SIGPIPE and SIGXFSZ, whose writes then fail as any
/// other.
void install_signal_handlers();

/// The signal that asked to stop, 0 when none did.
int stop_signal();
/// Whether SIGHUP came since the last call.
bool take_checkpoint_request();

}  // namespace qtrain::run
