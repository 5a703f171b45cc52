import type { Listener, Options, Packet, RequestOptions, SubscribeOptions, WriteOptions } from './api';
import { call, type Emit } from './emitter';
import { control, escape, toFrame, type Frame, type Payload } from './frames';
import { toPayload, type Parser } from './parsers';
import type { Requests } from './requests';
import type { Gate } from './session';

/** At most so many requests may wait for their answers. */
const LIMIT = 1024;

/** The local events of `onAny` and `onAnyOutgoing`. */
const ANY = 'incoming::event';
const ANY_OUTGOING = 'outgoing::event';

/** Whether a name is one of the events of the client itself, or of the protocol. */
export const reserved = (event?: string): boolean =>
  /^(open|data|close|end|error|readyStateChange|timeout|o(n|ff)line|destroy|resumed|lost|missed|transport)$|^(reconnect|(incom|outgo)ing::|primus\.)/.test(
    event!,
  );

/** A room that the application has subscribed to. */
interface Room {
  /** By handle: the same function may be there more than once. */
  _listeners: Map<unknown, Listener>;
  _ready: Promise<any>;
  /** Our place in its history, if it keeps one. */
  _since?: { epoch: string; offset: number };
  /** Subscribes in a new session. */
  _renew(): void;
}

/** The inner side of a client, or of a channel. */
export interface Face extends Gate {
  /** A message has come. Throws if the protocol does not allow it. */
  _receive(frame: Frame): void;
  /** Makes a request to the protocol; `done` takes in its answer at once. */
  _command<T>(name: string, args: object, done?: (reply: any) => T): Promise<T>;
  _rooms: Map<string, Room>;
}

/** What a face needs of the client. */
export interface Core {
  _options: Options;
  _parser: Parser;
  _requests: Requests;
  /** Of frames that mean nothing in another session. */
  _passing: Gate;
  /** Counts the sessions. */
  _session(): number;
  _passes(type: string, packet: Packet): boolean;
  /** Queues a frame, and sends it if that can be done. Throws if there is no room. */
  _send(frame: Payload, gate: Gate, key?: unknown, room?: number): void;
  /** Whether it is over for good. */
  _ended(): unknown;
  /** Whether a writer had better wait. */
  _busy(): boolean;
}

/**
 * Gives `target` what a client and its channels have in common: to write, to emit, to request and to subscribe. `wrap` makes a frame one
 * of theirs.
 */
export const face = <F extends Partial<Face>>(core: Core, given: F, target: any, emit: Emit, wrap = (frame: Payload) => frame): F & Face => {
  const mine = given as F & Face;
  const rooms: Map<string, Room> = (mine._rooms = new Map());
  const over = () => mine._over || core._ended();

  /** Sends what `frame` makes of a value. False if it was not taken, true if a transform dropped it. */
  const post = (frame: (payload: Payload) => Payload, packet: Packet, { volatile, conflate }: WriteOptions = {}) => {
    if (over() || (volatile && (mine._held || core._busy()))) return false;
    if (!core._passes('outgoing', packet)) return true;
    // A transform may have ended it.
    if (over()) return false;
    const sent = wrap(frame(toPayload(core._parser.encoder(packet.data))));
    core._send(sent, mine, conflate);
    if (packet.event) emit(ANY_OUTGOING, packet.event, packet.data);
    return sent;
  };

  /** The same for those who look for errors elsewhere. */
  const tell: (...args: Parameters<typeof post>) => boolean = (...args) => {
    try {
      return post(...args) !== false;
    } catch (error) {
      emit('error', error);
      return false;
    }
  };

  /** The name of an event of the application, as it stands in a head. */
  const title = (event: string) => {
    if (reserved(event)) throw new Error(`the event ${event} is reserved`);
    return escape(event);
  };

  const command: Face['_command'] = (name, args, done = (reply) => reply) =>
    core._requests._ask(
      mine,
      (id) => {
        if (over()) return false;
        const frame = wrap(control(`request:${id}:${name}`, JSON.stringify(args)));
        core._send(frame, mine, undefined, Infinity);
        return frame;
      },
      (body) => done(JSON.parse(body)),
    );

  /** Answers a request of the server, if the session is still the one in which it came. */
  const answer = (id: string, event: string, body: Payload) => {
    const session = core._session();
    const say = (head: string, body: Payload) => {
      if (session == core._session()) core._send(control(head + ':' + id, body), core._passing, undefined, Infinity);
    };
    const refuse = (error: any) =>
      say('refuse', JSON.stringify({ error: error?.data !== undefined ? error.data : (error?.message ?? '' + error), status: error?.status ?? 500 }));
    const run = async () => {
      const packet = { data: core._parser.decoder(body), event };
      const listeners: Listener[] = reserved(event) || !core._passes('incoming', packet) ? [] : target.listeners(event);
      if (!listeners[0]) throw { message: 'nobody listens for ' + event, status: 404 };
      emit(ANY, event, packet.data);
      const results: any[] = await Promise.all(listeners.map(async (listener) => listener.call(target, packet.data)));
      say('reply', toPayload(core._parser.encoder(results.find((one) => one !== undefined) ?? null)));
    };
    // What cannot be encoded is refused, too.
    run().catch(refuse).catch(refuse);
  };

  const subscribe = (room: string, last?: number): Room => {
    let joining: boolean;
    let again: boolean;
    const join = async (): Promise<any> => {
      joining = true;
      try {
        return await command('primus.subscribe', { room, since: one._since, last: one._since ? undefined : last }, (reply) => {
          const { epoch, offset, recovered } = reply;
          joining = false;
          one._since = epoch && { epoch, offset };
          if (again && recovered === false) emit('missed', room);
          again = true;
          return reply;
        });
      } catch (error: any) {
        if (rooms.get(room) == one) {
          // Its session is gone: the next one is asked.
          if (error.name == 'ClosedError' && !over()) return join();
          rooms.delete(room);
          if (again) emit('error', error);
        }
        throw error;
      }
    };
    /** Who does not wait for it shall not be told that nobody did. */
    const start = () => {
      const ready = join();
      ready.catch(() => {});
      return ready;
    };
    const one: Room = { _listeners: new Map(), _renew: () => joining || start() } as any;
    rooms.set(room, one);
    one._ready = start();
    return one;
  };

  Object.assign(target, {
    write: (data: unknown, how?: WriteOptions) => tell(toFrame, { data }, how),
    emit(event: string, data: unknown = null, how?: WriteOptions) {
      const head = 'event:' + title(event);
      return tell((payload) => control(head, payload), { data, event }, how);
    },
    request: (event: string, data: unknown = null, { timeout = core._options.requestTimeout, signal }: RequestOptions = {}) =>
      core._requests._ask(
        mine,
        (id) => {
          const head = `request:${id}:${title(event)}`;
          if (core._requests._count() >= LIMIT) throw new Error('too many requests');
          return post((payload) => control(head, payload), { data, event });
        },
        (body) => core._parser.decoder(body),
        timeout,
        signal,
      ),
    subscribe(room: string, listener: Listener, { last }: SubscribeOptions = {}) {
      escape(room);
      const one = rooms.get(room) || subscribe(room, last);
      const handle = {
        room,
        ready: one._ready,
        unsubscribe() {
          if (one._listeners.delete(handle) && !one._listeners.size && rooms.get(room) == one) {
            rooms.delete(room);
            command('primus.unsubscribe', { room }).catch(() => {});
          }
        },
      };
      one._listeners.set(handle, listener);
      return handle;
    },
    onAny: (listener: Listener) => target.on(ANY, listener),
    offAny: (listener?: Listener) => target.off(ANY, listener),
    onAnyOutgoing: (listener: Listener) => target.on(ANY_OUTGOING, listener),
    offAnyOutgoing: (listener?: Listener) => target.off(ANY_OUTGOING, listener),
  });

  mine._command = command;
  mine._receive = ({ _kind, _numbers, _name: event, _rooms, _body }) => {
    if (_kind == 'request') return answer(_numbers[0], event!, _body);
    if (reserved(event)) throw 0;
    /** Those who get it instead of everybody, each by the first of its rooms. */
    const subscribers = new Map<Listener, string>();
    for (const [room, offset] of _rooms || []) {
      const one = rooms.get(room);
      if (one?._since && offset != null) one._since.offset = offset;
      one?._listeners.forEach((listener) => subscribers.has(listener) || subscribers.set(listener, room));
    }
    try {
      const packet: Packet = { data: core._parser.decoder(_body) };
      if (event) packet.event = event;
      if (!core._passes('incoming', packet)) return;
      const { data } = packet;
      subscribers.forEach((room, listener) => call(target, listener, [data, event, room]));
      if (subscribers.size) return;
      if (event) {
        emit(ANY, event, data);
        emit(event, data);
      } else emit('data', data, _body);
    } catch (error) {
      emit('error', error);
    }
  };
  return mine;
};
