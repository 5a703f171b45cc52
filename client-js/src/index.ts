import { assemble, type PrimusConstructor } from './assemble';
import type { Primus as Client } from './api';
import { race } from './race';
import { polling } from './transports/polling';
import { sse } from './transports/sse';
import { websocket } from './transports/websocket';
import { standard } from './standard';

export type * from './api';
export type { PrimusConstructor } from './assemble';
export type { ReconnectOptions } from './backoff';
export type { CloseReason } from './close';
export type { Payload } from './frames';
export type { Network } from './network';
export type { Parser } from './parsers';

/** A client. */
export type Primus<ServerEvents = any, ClientEvents = any> = Client<ServerEvents, ClientEvents>;

/** The constructor, with all transports: WebSocket, SSE and long polling. */
export const Primus: PrimusConstructor = assemble(race([websocket, sse, polling]), standard);

export default Primus;
