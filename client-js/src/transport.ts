import type { Options } from './api';
import type { CloseReason } from './close';
import type { Payload } from './frames';
import type { Session } from './session';

/** What one attempt to connect needs to know. */
export interface Dial {
  /** The mount: `http://host/primus`, without a slash at its end. */
  _url: string;
  /** The query of the application, encoded: empty, or it begins with `&`. */
  _query: string;
  /** Gives an attach its number, and later makes the frame, as things are then. */
  _attach(): () => string;
  /** How a carrier goes that is not needed: it ends (1) a session of its own, but not (0) one that was named, and others come back to. */
  _leave: 0 | 1;
  /** That session, if no carrier of it is alive: what it keeps may be repeated at once. */
  _repeat?: Session | false;
  /** The same anew: credentials may have changed. */
  _again(): Promise<Dial>;
  /** The attach of an attempt beside a living carrier was in vain. */
  _vain(): void;
  /** Whether an attach frame can be the answer to ours. */
  _fits(reply: AttachReply): boolean;
  _options: Options;
}

/** What the server says in its first frame. */
export interface AttachReply {
  id: string;
  key: string;
  generation: number;
  epoch: string;
  recv: number;
  next: number;
  resumed: boolean;
  reason?: string;
  ping: number;
  timeout: number;
  ack: [messages: number, bytes: number];
  maxMessage: number;
  token?: string;
}

/**
 * One connection of one transport, and what the server has said in its attach frame. The next three are what it tells, and belong to its owner: at first the race of an attempt, then the client
 * for which it has won. The others are what the transport does.
 */
export interface Carrier {
  _name: string;
  _reply: AttachReply;

  /** The peer lives, though it had nothing to say: the attach frame is on its way, for example. */
  _alive(): void;
  /** A frame has come. */
  _frame(data: Payload): unknown;
  /** It is over. `soft`: the server may just not serve this transport. */
  _down(reason: CloseReason, soft?: boolean): unknown;

  /** The server's attach frame has come. From now on the carrier takes from the session what it sends. */
  _attached(session: Session): void;
  /** Sends a control frame, if there is one, and what waits. */
  _flush(frame?: string): void;
  /** Whether a writer had better wait. */
  _busy(): boolean;
  /** Stops reading, or goes on, so that the sender feels that we are slow. */
  _pause(on: unknown): void;
  /** Leaves: without a word, with a clean end after all that is queued, or in haste because the page is going. */
  _close(how: 0 | 1 | 2): void;
}

/** One way to reach the server. A client has any number of them, in the order in which it tries them. */
export interface Transport {
  /** @internal */
  _name: string;
  /** @internal The option with what it needs of this environment. */
  _needs: 'WebSocket' | 'fetch';
  /** @internal Connects, and gives the carrier what it does. */
  _dial(dial: Dial, carrier: Carrier): void;
}
