//! Why a spark ended, in the words of Socket.IO.

use primus_core::CloseReason;

/// What a server of npm `socket.io` would say to its `disconnect` listeners. For applications that come from
/// there and look at the word.
///
/// ```
/// use primus_core::CloseReason;
/// use primus_socketio::disconnect_reason;
/// assert_eq!(disconnect_reason(&CloseReason::HEARTBEAT), "ping timeout");
/// assert_eq!(disconnect_reason(&CloseReason::NORMAL), "client namespace disconnect");
/// ```
pub fn disconnect_reason(reason: &CloseReason) -> &'static str {
    match reason.code() {
        1000 => "client namespace disconnect",
        1001 => "transport close",
        1002 | 1007 | 1008 | 4400 => "parse error",
        1009 => "transport error",
        4002 | 4003 => "server shutting down",
        4004 => "ping timeout",
        4001 | 4005 | 4006 => "forced close",
        _ => "server namespace disconnect",
    }
}
