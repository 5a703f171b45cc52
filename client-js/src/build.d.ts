/** Set by the build: whether WebSocket, or a protocol of others, is the only transport in this file. Then what serves HTTP, or a change of transports, is left out. */
declare const ALONE: boolean;
