import { assemble, type PrimusConstructor } from './assemble';
import type { Primus as Client } from './api';
import { alone } from './race';
import { websocket } from './transports/websocket';
import { standard } from './standard';

export type * from './index';

/** A client. */
export type Primus<ServerEvents = any, ClientEvents = any> = Client<ServerEvents, ClientEvents>;

/** The constructor, with WebSocket alone: the smallest client. */
export const Primus: PrimusConstructor = assemble(alone(websocket), { ...standard, transports: ['websocket'] });

export default Primus;
