import { Duplex } from 'node:stream';
import { assemble, type PrimusConstructor } from './assemble';
import { race } from './race';
import { polling } from './transports/polling';
import { sse } from './transports/sse';
import { websocket } from './transports/websocket';
import { standard } from './standard';
import type { Options, Primus as Client } from './api';

export type * from './index';

/** What a client has in Node only. */
export interface Streams {
  /**
   * The client as a stream of objects: what is written to it is sent, what it reads has been received, and it has back-pressure both ways.
   * It ends when the client ends, and ends the client when it is ended. The message `null` means the end to a stream of Node: it is an error here.
   */
  stream(): Duplex;
}

/** A client, in Node. */
export interface Primus<ServerEvents = any, ClientEvents = any> extends Client<ServerEvents, ClientEvents>, Streams {}

function stream(this: Client): Duplex {
  const reader = this.readable.getReader();
  const writer = this.writable.getWriter();
  // Whoever needs them to fail hears it from `read` and `write`.
  reader.closed.catch(() => {});
  writer.closed.catch(() => {});
  return new Duplex({
    objectMode: true,
    read() {
      reader.read().then(
        ({ done, value }) => {
          if (!done && value === null) this.destroy(new Error('null cannot pass a stream'));
          else this.push(done ? null : value);
        },
        (error) => this.destroy(error),
      );
    },
    write(value, _encoding, done) {
      writer.write(value).then(() => done(), done);
    },
    final(done) {
      writer.close().then(() => done(), done);
    },
    destroy: (error, done) => {
      reader.cancel().catch(() => {});
      this.end();
      done(error);
    },
  });
}

let warned = false;

/** Says once that there is no WebSocket, and what to do about it. */
const warn = (_primus: Client, { WebSocket = globalThis.WebSocket, transports }: Options) => {
  if (WebSocket || warned || transports?.includes('websocket') === false) return;
  warned = true;
  console.warn('primus: this version of Node has no WebSocket, so SSE is used; pass one as the option WebSocket: npm install ws');
};

/** The constructor, with all transports and with `stream()`. */
export const Primus: PrimusConstructor<Streams> = assemble(race([websocket, sse, polling]), { ...standard, plugins: [warn] }) as PrimusConstructor<Streams>;

Object.assign(Primus.prototype, { stream });

export default Primus;
