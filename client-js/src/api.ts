import type { ReconnectOptions } from './backoff';
import type { CloseReason } from './close';
import type { Payload } from './frames';
import type { Network } from './network';
import type { Parser } from './parsers';

/** The name of a transport. */
export type TransportName = 'websocket' | 'sse' | 'polling';

/** A moment at which a client may come back by itself. */
export type Strategy = 'disconnect' | 'online' | 'timeout';

/** What a plugin does to every new client; `more` is what it was given with. */
export type Plugin = (this: Primus, primus: Primus, options: Options, more?: any) => void;

/** A value, or a function that gives it, now or later. It is asked at every attempt to connect. */
export type Asked<T> = T | (() => T | Promise<T>);

/** The options of a client. Times are in milliseconds, sizes in bytes. */
export interface Options {
  /** Where the server is, if not given as the first argument. */
  url?: string;
  /** The same as `url`. */
  uri?: string;
  /** The path of the mount, if the URL has none. Default `/primus`. */
  pathname?: string;
  /**
   * The transports to use, in this order. Default: all that were built in, `websocket` first. It is read at every attempt to connect: set
   * `primus.options.transports`, and the next one goes by that.
   */
  transports?: TransportName[];
  /** How to come back. */
  reconnect?: Partial<ReconnectOptions>;
  /** How long the first connect may take; `false`: as long as it likes. Default 10000. */
  timeout?: number | false;
  /**
   * After how long without traffic to ask the server for a sign of life; `false`: never. By default the client expects the
   * server's own heartbeat, and asks only when that is late.
   */
  ping?: number | false;
  /** How long to wait for that sign. Default: half of the server's timeout. */
  pingTimeout?: number | false;
  /** When to come back by itself: after a lost connection, when the network is back, when the first connect failed. Default: all three. */
  strategy?: Strategy[] | string | false;
  /** Do not connect before `open()`. */
  manual?: boolean;
  /** Emit `open` at every connect, as Primus did, also when the session was resumed and nothing was lost. Default `false`. */
  openOnReconnect?: boolean;
  /** How much may be queued while there is no connection. Default 262144. */
  queueSize?: number;
  /** How long a request waits for its answer; `false`: for ever. Default 30000. */
  requestTimeout?: number | false;
  /** Credentials for the server's `authorize`: anything that JSON can hold. */
  auth?: Asked<unknown>;
  /** Added to the query of the URL: a string, an object of strings, or `URLSearchParams`. */
  query?: Asked<string | Record<string, string> | URLSearchParams | undefined>;
  /** How values travel; it must be the mount's parser. Default `json`. */
  parser?: 'json' | 'raw' | Parser;
  /** Who tells about the network and the page; `false`: nobody. Default: `window`, where there is one. */
  network?: Network | boolean;
  /** The constructor to use, for environments that have none (Node 20), or a special one. */
  WebSocket?: unknown;
  /** The function to use, for environments that have none, or a special one. */
  fetch?: typeof fetch;
  /** Whether the HTTP transports send cookies to other origins. Default `same-origin`. */
  credentials?: RequestCredentials;
  /** Plugins for this client alone, each alone or with options of its own. */
  plugins?: (Plugin | [Plugin, unknown])[];
}

/** How to send one message. */
export interface WriteOptions {
  /** Drop it, and return false, if it would have to wait: without a connection, or while the network is slow. */
  volatile?: boolean;
  /** The message of the same key that still waits to be sent, if there is one, is dropped; this one goes to the end, as any other. */
  conflate?: string;
}

/** How to wait for an answer. */
export interface RequestOptions {
  /** How long; `false`: for ever. Default: the option `requestTimeout`. */
  timeout?: number | false;
  /** Gives up: the request rejects with the reason of the signal. */
  signal?: AbortSignal;
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** Begin with so many of the last messages, if the room keeps its history. The first subscription to the room decides. */
  last?: number;
}

/** A subscription to a room. */
export interface Subscription {
  readonly room: string;
  /**
   * Fulfilled when the server has answered, for the first time; rejected with its refusal, or when it is over before. `recovered` is there
   * if the room keeps its history.
   */
  readonly ready: Promise<{ recovered?: boolean; epoch?: string; offset?: number }>;
  /** The listener gets no more. The last one of a room leaves it. */
  unsubscribe(): void;
}

/** How to open a channel. */
export interface ChannelOptions {
  /** Credentials for the channel: anything that JSON can hold. */
  auth?: Asked<unknown>;
}

/** A refusal by the server, of a request, a subscription or a channel. */
export interface RefusedError extends Error {
  name: 'RefusedError';
  /** Like that of HTTP. */
  status?: number;
  /** What the server said: the `error` of its answer. */
  data: any;
}

/** The server could not handle an event of ours: its arguments do not fit, for example. */
export interface EventError extends Error {
  name: 'EventError';
  /** The event. */
  event: string;
  /** Like that of HTTP. */
  status?: number;
  /** What the server said. */
  data: any;
}

/** The progress of coming back: the argument of the reconnect events. */
export interface Recovery extends ReconnectOptions {
  /** The number of this attempt, from 1. */
  attempt: number;
  /** Milliseconds from the last event to this attempt. */
  scheduled: number;
  /** When it began, in milliseconds since 1970. */
  start: number;
  /** How long it has taken, once it has succeeded. */
  duration: number;
  /** Always true: an attempt is being waited for or made. */
  backoff: boolean;
}

/** A message on its way through the transforms. */
export interface Packet {
  data: any;
  /** The name of an event or a request; `data` is its arguments. */
  event?: string;
}

/** What a client is doing. `resuming`: it had a connection, and is on its way to the next. */
export type State = 'connecting' | 'open' | 'resuming' | 'offline' | 'closed';

/** An error of a connection. For a refusal by the server it has `status` (401), `code` (4401), `reason`, and `body`, the server's JSON. */
export type ConnectionError = Error & CloseReason;

/** The events of the client itself, and what their listeners get. */
export interface Events {
  /** A session has begun: at the first connect, and after one that was lost. What was queued has been sent before. */
  open: [];
  /** A message, decoded, and as it came. */
  data: [data: any, raw: Payload];
  /** The connection is gone, not yet the session; `reason.reconnect` tells whether the client comes back. */
  close: [reason: CloseReason];
  /** It is over, for good. */
  end: [reason: CloseReason];
  /**
   * Something failed: the first connect, a refusal (`ConnectionError`), a message that cannot be encoded, decoded or queued; a room that the
   * server does not let us into any more (`RefusedError`); an event that the server could not handle (`EventError`).
   */
  error: [error: any];
  /** `readyState` has changed. */
  readyStateChange: [state: 'opening' | 'open' | 'end'];
  /** An attempt to come back will be made in `recovery.scheduled` ms. */
  'reconnect scheduled': [recovery: Recovery];
  /** That attempt has been started. */
  reconnect: [recovery: Recovery];
  /** It has succeeded; `resumed` follows. */
  reconnected: [recovery: Recovery];
  /**
   * It is connected again. True: to the same session, and nothing was lost in either direction. False: to a new one, because the
   * old one is gone: `expired`, `overflow`, `restarted`, `conflict`, `unknown`, or why the server ended it; then `open` follows.
   */
  resumed: [resumed: boolean, why?: string];
  /**
   * These messages will not be sent again: those that were sent in a session that is gone, and that the server never acknowledged; just
   * before `end`, those that were never sent, too. Of an event or a request it is `{ event, data }`, of what was in a channel
   * `{ channel, data }` or `{ channel, event, data }`.
   */
  lost: [messages: any[]];
  /** It is subscribed to this room again, in a new session, and what was sent to the room meanwhile cannot be had. */
  missed: [room: string];
  /** Another transport is in use: the first (`previous` is empty), after a fall back, or after an upgrade, which has no other event. */
  transport: [name: string, previous: string];
  /** It took too long; another one follows. */
  'reconnect timeout': [error: Error, recovery: Recovery];
  /** It was the last one allowed; `end` came just before. */
  'reconnect failed': [error: Error, recovery: Recovery];
  /** The first connect took too long. */
  timeout: [];
  /** The network is back, or the server is. */
  online: [];
  /** The network has gone, or the server gives no sign of life. */
  offline: [];
  /** The last event of `destroy()`. */
  destroy: [];
}

/** Any function that listens to an event. */
export type Listener = (...args: any[]) => void;

/** The events of a channel itself, and what their listeners get. */
export interface ChannelEvents {
  /** The server has let us in: at first, and in every new session. What was written before has been sent. */
  open: [];
  /** A message, decoded, and as it came. */
  data: [data: any, raw: Payload];
  /** It is over: it was left, the server ended it, or the client has ended. */
  end: [reason: CloseReason];
  /** The server refused it, and it is over (`RefusedError`); or a message cannot be encoded, decoded or queued, or an event not handled (`EventError`). */
  error: [error: any];
  /** The same as in `Events`. */
  missed: [room: string];
}

/** The names of a map of events; any, if it was not given. */
type Names<M> = string extends keyof M ? string & {} : keyof M & string;

/** What travels with an event: what its map says, or the parameter, if that is a function. */
export type Args<T> = T extends (args: infer A) => any ? A : T;

/** What answers a request. */
export type Reply<T> = T extends (...args: any[]) => infer R ? Awaited<R> : any;

/** The arguments to give with an event: none are needed where `undefined` or nothing is meant. */
type Given<T, More> = unknown extends T
  ? [args?: any, more?: More]
  : undefined extends Args<T>
    ? [args?: Args<T>, more?: More]
    : [args: Args<T>, more?: More];

/** The names of the requests in a map. */
type Requested<M> = string extends keyof M
  ? string & {}
  : { [K in keyof M & string]: M[K] extends (...args: any[]) => any ? K : never }[keyof M & string];

/** What listens to an event: one of the client itself, or one of the server, which may want an answer. */
export type Listening<Own, M, E, This> = E extends keyof Own
  ? Own[E] extends any[]
    ? (this: This, ...args: Own[E]) => void
    : never
  : E extends keyof M
    ? unknown extends M[E]
      ? (this: This, ...args: any[]) => any
      : M[E] extends (...args: any[]) => infer R
        ? (this: This, args: Args<M[E]>) => R | Promise<Awaited<R>> | undefined | void
        : (this: This, args: M[E]) => void
    : (this: This, ...args: any[]) => any;

/**
 * What a client and its channels have in common. `ServerEvents` maps the events that the server emits to what travels with them,
 * `ClientEvents` those that the client emits. A function type is a request: of its parameter, answered by its result.
 */
export interface Face<Own, ServerEvents = any, ClientEvents = any> {
  /**
   * Sends a message, or queues it until there is a connection. False means that it was not taken: because the end has come,
   * the queue is full, or it cannot be encoded (the latter two also emit `error`), or because it is volatile and would have to wait.
   */
  write(value: any, options?: WriteOptions): boolean;
  /** Sends an event, the same way. A name that is reserved, or can be none, throws. */
  emit<E extends Names<ClientEvents>>(event: E, ...args: Given<E extends keyof ClientEvents ? ClientEvents[E] : any, WriteOptions>): boolean;
  /**
   * Sends an event, and waits for the answer. Rejects with an error named `RefusedError` (`status`, `data`), `TimeoutError`, `ClosedError` (it
   * is over, or the session that the request was sent in is gone), or with the reason of `signal`.
   */
  request<E extends Requested<ClientEvents>>(
    event: E,
    ...args: Given<E extends keyof ClientEvents ? ClientEvents[E] : any, RequestOptions>
  ): Promise<Reply<E extends keyof ClientEvents ? ClientEvents[E] : any>>;
  /**
   * Subscribes to a room. Its messages go to the listeners of its subscriptions, and to nobody else: the value, and the name, if it is an
   * event. In a new session it subscribes again by itself, from where it was.
   */
  subscribe(room: string, listener: (this: this, value: any, event: string | undefined, room: string) => void, options?: SubscribeOptions): Subscription;

  /** Calls `listener` at every `event`. If that is a request of the server, the first result that is not undefined answers it; who throws refuses. */
  on<E extends (keyof Own & string) | Names<ServerEvents>>(event: E, listener: Listening<Own, ServerEvents, E, this>): this;
  /** Calls `listener` at the next `event` only. */
  once<E extends (keyof Own & string) | Names<ServerEvents>>(event: E, listener: Listening<Own, ServerEvents, E, this>): this;
  /** Removes `listener`, or all listeners of `event`. */
  off(event: string, listener?: Listener): this;
  /** The same as `off`. */
  removeListener(event: string, listener?: Listener): this;
  /** Removes all listeners, of `event` or of everything. */
  removeAllListeners(event?: string): this;
  /** The listeners of `event`. */
  listeners(event: string): Listener[];
  /** Calls `listener` at every event and request of the server. */
  onAny(listener: (name: string, args: any) => void): this;
  /** Removes it, or all of them. */
  offAny(listener?: (name: string, args: any) => void): this;
  /** Calls `listener` at every event and request that is sent. */
  onAnyOutgoing(listener: (name: string, args: any) => void): this;
  /** Removes it, or all of them. */
  offAnyOutgoing(listener?: (name: string, args: any) => void): this;
}

/** A channel: an application of its own on the connection of the client. It comes back with it. */
export interface Channel<ServerEvents = any, ClientEvents = any> extends Face<ChannelEvents, ServerEvents, ClientEvents> {
  readonly name: string;
  /** The id of our spark in it, once it is open. */
  readonly id: string | undefined;
  /** Leaves it, after what was written. */
  end(): this;
}

/** A client: keeps one connection to a Primus server, by whatever transport works, until `end`. */
export interface Primus<ServerEvents = any, ClientEvents = any> extends Face<Events, ServerEvents, ClientEvents>, AsyncIterable<any> {
  /** The options, with their defaults. */
  readonly options: Options & { reconnect: ReconnectOptions };
  /** The URL of the mount. */
  readonly url: string;
  /** `Primus.OPENING` 1, `Primus.CLOSED` 2, `Primus.OPEN` 3. */
  readonly readyState: 1 | 2 | 3;
  /** What it is doing, in one word. */
  readonly state: State;
  /** The name of the transport in use, or of the last one. */
  readonly transport: string;
  /** False while the network is known to be away, or the server gives no sign of life. */
  readonly online: boolean;
  /** Frames that wait for a connection. */
  readonly buffer: Payload[];
  /** Fulfilled when there is a connection; rejected if it is over for good. */
  readonly ready: Promise<Primus>;
  /**
   * The messages as a stream. While nobody reads it the client stops reading from the network, where it can: SSE, polling, and
   * `ws` of Node can, a WebSocket of a browser cannot.
   */
  readonly readable: ReadableStream<any>;
  /** Messages written to this stream are sent; a write takes as long as the network does. Closing it ends the client. */
  readonly writable: WritableStream<any>;

  /** Connects, unless it is connected or on its way. After `end` it begins anew. */
  open(): this;
  /** Ends it for good, after sending `data` if given. */
  end(data?: any): this;
  /** `end`, and all listeners are removed. */
  destroy(): this;
  /** The id of the session: as a promise, or by a callback. It waits for the connection. */
  id(callback?: (id: string) => void): Promise<string>;
  /** Adds a function that all messages pass. It may change `packet.data`; a message for which it returns `false` is dropped. */
  transform(type: 'incoming' | 'outgoing', transformer: (this: Primus, packet: Packet) => unknown): this;
  /** The channel of this name: the one that is open, or a new one. What is written to it waits until it is open. */
  channel<S = any, C = any>(name: string, options?: ChannelOptions): Channel<S, C>;
  /** Gives this client to a plugin. */
  plugin(plugin: Plugin, more?: unknown): this;
  /** Whether this event is one of the client itself, or of the protocol: such a name is no event of an application. */
  reserved(event: string): boolean;
  /** A function that calls the listeners of `event` here, and sends nothing; a `parser` gets `next(error, ...args)` before the arguments, and decides what is emitted. */
  emits(event: string, parser?: (next: (error?: unknown, ...args: any[]) => void, ...args: any[]) => void): Listener;
  /** All messages from now on, until the end: `for await (const message of primus)`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<any>;
}

/** What the server bakes into the script that it serves; the npm package uses the defaults. */
export interface Config {
  path: string;
  /** Where the script came from, which says so itself: the server, if nobody names another one. Else that is the page's. */
  home?: string;
  transports: Options['transports'];
  global?: string;
  /** A name, or what the script of a parser evaluates to. */
  parser?: 'json' | 'raw' | Parser;
  version?: string;
  options?: Options;
  plugins?: Options['plugins'];
}
