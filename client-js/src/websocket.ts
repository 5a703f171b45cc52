import { assemble, type PrimusConstructor } from './assemble';
import type { Primus as Client } from './api';
import { alone } from './race';
import { websocket } from './transports/websocket';
import { version } from './version';

export type * from './index';

/** A client. */
export type Primus<ServerEvents = any, ClientEvents = any> = Client<ServerEvents, ClientEvents>;

/** The constructor, with WebSocket alone: the smallest client. */
export const Primus: PrimusConstructor = assemble(alone(websocket), { version });

export default Primus;
