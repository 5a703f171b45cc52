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
  maxMessage?: number;
  token?: string;
}

/** What a carrier tells. Its owner changes: at first the race of an attempt, then the connection of who won it. */
export interface Wire {
  /** It looks good, the attach frame is on its way. */
  _opened(): void;
  /** The peer lives, though it had nothing to say. */
  _alive(): void;
  /** A frame has come. */
  _frame(data: Payload): void;
  /** It is over. `soft`: the server may just not serve this transport. */
  _down(reason: CloseReason, soft?: boolean): void;
}

/** One connection of one transport. */
export interface Carrier {
  /** The server's attach frame has come. From now on the carrier takes from the session what it sends. */
  _attached(reply: AttachReply, session: Session): void;
  /** Sends a control frame, if there is one, and what waits. */
  _flush(frame?: string): void;
  /** Whether a writer had better wait. */
  _busy(): boolean;
  /** Stops reading, or goes on, so that the sender feels that we are slow. */
  _pause(on: boolean): void;
  /** Leaves: without a word, with a clean end after all that is queued, or in haste because the page is going. */
  _close(how: 0 | 1 | 2): void;
}

/** One way to reach the server. A client has any number of them, in the order in which it tries them. */
export interface Transport {
  /** @internal */
  _name: string;
  /** @internal What it needs of this environment, if that is there. */
  _able(options: Options): any;
  /** @internal Opens a carrier. */
  _dial(dial: Dial, wire: Wire): Carrier;
}
