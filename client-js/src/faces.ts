import type { Channel, ChannelOptions, Listener, Packet, RequestOptions, SubscribeOptions, WriteOptions } from './api';
import { EVER } from './backoff';
import { closing, ending, failure, type CloseReason } from './close';
import { call, emitter, type Emit } from './emitter';
import { control, escape, toFrame, type Frame, type Payload } from './frames';
import { keep } from './keep';
import { asked } from './options';
import { toPayload, type Parser } from './parsers';
import type { Gate } from './session';

/** At most so many requests may wait for their answers. */
const LIMIT = 1024;

/** The local events of `onAny` and `onAnyOutgoing`. */
const INCOMING = 'incoming::';
const OUTGOING = 'outgoing::';

/** Whether a name is one of the events of the client itself, or of the protocol. */
export const reserved = (event?: string): boolean =>
  /^(open|data|close|end|error|readyStateChange|timeout|online|offline|destroy|resumed|lost|missed|transport)$|^(reconnect|incoming::|outgoing::|primus\.)/.test(
    event!,
  );

/** A request of ours that has no answer yet. */
interface Request {
  _frame: Payload;
  _gate: Gate;
  _resolve(body: any): void;
  _reject(error: unknown): void;
}

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

/** The inner side of the client, or of a channel. */
interface Face extends Gate {
  /** A message has come. Throws if the protocol does not allow it. */
  _receive(frame: Frame): void;
  /** Makes a request to the protocol; `done` takes in its answer at once. */
  _command(name: string, args: object, done?: (reply: any) => void): Promise<unknown>;
  _rooms: Map<string, Room>;
}

/** The inner side of a channel. Its gate is held until the server has let it in. */
interface ChannelFace extends Face {
  _channel: Channel;
  /** Asks for it in a new session; fulfilled when that has been answered. */
  _renew(): Promise<unknown>;
  /** It is over; its last event says why. */
  _end(why: unknown, event?: string): void;
}

/** The root and the channels of a client. */
export interface Faces {
  /** A message has come. Throws if the protocol does not allow it. */
  _receive(frame: Frame): void;
  /** There is a new session, or the client has ended. */
  _renew(ended?: CloseReason): void;
  /** How many requests wait for their answers. */
  _asking(): number;
}

/** What they need of the client. */
export interface Client {
  _parser: Parser;
  /** Queues a frame, and sends it if that can be done. Without `how` there is always room for it; else it throws if there is none. */
  _send(frame: Payload, gate: Gate, how?: WriteOptions): void;
  /** Takes back what waits: this frame, or all frames of this gate. */
  _drop(what: Payload | Gate): void;
  /** Sends what may go, and reads on while somebody waits for an answer. */
  _changed(): void;
  /** Whether it is over for good. */
  _ended(): unknown;
  /** Whether a writer had better wait. */
  _busy(): boolean;
}

/**
 * Gives `primus` its face, `transform`, and `channel`, which makes more faces: to write, to emit, to request and to subscribe. A channel is the same face with
 * its name around every frame, and a gate:
 *
 * ```text
 *              the answer              end(), or the server's word
 *     held ──────────────────▶ open ─────────────────────────────▶ over
 *      │ ▲   a new session      │                                   ▲
 *      │ └──────────────────────┘                          refused  │
 *      └────────────────────────────────────────────────────────────┘
 * ```
 */
export const faces = (
  primus: any,
  emit: Emit,
  { _parser, _send, _drop, _changed, _ended, _busy }: Client,
): Faces => {
  const requests = new Map<number, Request>();
  const channels = new Map<string, ChannelFace>();
  /** Of frames that mean nothing in another session. */
  const passing: Gate = { _over: true };
  let ids = 0;
  let sessions = 0;

  const transformers: Record<string, ((packet: Packet) => unknown)[]> = { incoming: [], outgoing: [] };
  primus.transform = (type: string, transformer: (packet: Packet) => unknown) => {
    transformers[type].push(transformer);
    return primus;
  };
  const passes = (type: string, packet: Packet) => transformers[type].every((transformer) => transformer.call(primus, packet) !== false);

  const encode = (value: unknown) => toPayload(_parser.encoder(value));

  const closed = () => failure({ name: 'ClosedError', reason: 'closed' });

  /** What the server says in JSON of an event or a request that it did not take. */
  const refused = (name: string, body: any) => {
    const { error: data, ...more } = JSON.parse(body);
    return failure({ ...more, name, data, reason: typeof data == 'string' ? data : JSON.stringify(data) });
  };

  /** Makes a request: `send` sends it, and returns its frame, or a boolean if it did not. `decode` is called as soon as the answer has come. */
  const ask = async (_gate: Gate, send: (id: number) => Payload | boolean, decode: (body: any) => unknown, timeout?: any, signal?: AbortSignal) => {
    const id = ++ids;
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    signal?.throwIfAborted();
    const _frame: any = send(id);
    if (!_frame.slice) throw closed();
    try {
      return await new Promise<any>((resolve, _reject) => {
        requests.set(id, { _frame, _gate, _reject, _resolve: (body) => resolve((async () => decode(body))()) });
        _changed();
        signal?.addEventListener('abort', () => _reject(signal.reason), over);
        if (timeout > 0) timer = setTimeout(() => _reject(failure({ name: 'TimeoutError', reason: 'timeout' })), Math.min(timeout, EVER));
      });
    } finally {
      clearTimeout(timer!);
      over.abort();
      requests.delete(id);
      _drop(_frame);
      _changed();
    }
  };

  /** Nobody will answer these. */
  const giveUp = (which: (request: Request) => unknown) => requests.forEach((one) => which(one) && one._reject(closed()));

  /** Gives `target` the methods of a face, and `mine` its inner side. `wrap` makes a frame one of its own. */
  const face = (mine: Face, target: any, emit: Emit, wrap = (frame: Payload) => frame) => {
    const rooms: Map<string, Room> = (mine._rooms = new Map());
    const over = () => mine._over || _ended();

    /** Sends a frame, which it gives back as it travels. False if it is over. */
    const put = (inner: Payload, how?: WriteOptions) => {
      const frame = wrap(inner);
      return !over() && (_send(frame, mine, how), frame);
    };

    /** Sends a value, with a head if it is no plain message. False if it was not taken, true if a transform dropped it. */
    const post = (packet: Packet, how: WriteOptions = {}, head?: string) => {
      if (how.volatile && (mine._held || _busy())) return false;
      if (!passes('outgoing', packet)) return true;
      const payload = encode(packet.data);
      const frame = put(head ? control(head, payload) : toFrame(payload), how);
      if (frame && head) emit(OUTGOING, packet.event, packet.data);
      return frame;
    };

    /** The same for those who look for errors elsewhere. */
    const tell = (...args: Parameters<typeof post>) => {
      try {
        return post(...args) !== false;
      } catch (error) {
        emit('error', error);
        return false;
      }
    };

    /** The head of an event of the application. */
    const title = (kind: string, event: string) => {
      if (reserved(event)) throw new Error(event + ' is reserved');
      return kind + escape(event);
    };

    const command: Face['_command'] = (mine._command = (name, args, done) =>
      ask(
        mine,
        (id) => put(control(`request:${id}:primus.${name}`, JSON.stringify(args))),
        (body) => done?.(JSON.parse(body)),
      ));

    /** Answers a request of the server, if the session is still the one in which it came. */
    const answer = (id: string, event: string, body: Payload) => {
      const session = sessions;
      const say = (head: string, body: Payload) => session == sessions && _send(control(head + id, body), passing);
      const refuse = (error: unknown) => {
        const { message = '' + error, data = message, status = 500 } = Object(error);
        say('refuse:', JSON.stringify({ error: data, status }));
      };
      const run = async () => {
        const packet = { data: _parser.decoder(body), event };
        const listeners: Listener[] = reserved(event) || !passes('incoming', packet) ? [] : target.listeners(event);
        if (!listeners[0]) throw { message: 'nobody listens for ' + event, status: 404 };
        emit(INCOMING, event, packet.data);
        const results: any[] = await Promise.all(listeners.map(async (listener) => listener.call(target, packet.data)));
        say('reply:', encode(results.find((one) => one !== undefined) ?? null));
      };
      // What cannot be encoded is refused, too.
      run().catch(refuse).catch(refuse);
    };

    const join = (room: string, last?: number): Room => {
      const one: Room = { _listeners: new Map() } as any;
      const wanted = () => rooms.get(room) == one;
      let answered: boolean;
      rooms.set(room, one);
      one._ready = new Promise((resolve, reject) => {
        one._renew = keep(
          () =>
            command('subscribe', { room, since: one._since, last: one._since ? undefined : last }, (reply) => {
              const { epoch, offset, recovered } = reply;
              one._since = epoch && { epoch, offset };
              if (answered && recovered === false) emit('missed', room);
              answered = true;
              resolve(reply);
            }),
          () => wanted() && !over(),
          (error) => {
            reject(error);
            if (wanted()) {
              rooms.delete(room);
              if (answered) emit('error', error);
            }
          },
        );
      });
      // Who does not wait for it shall not be told that nobody did.
      one._ready.catch(() => {});
      return one;
    };

    const { on, off } = target;
    Object.assign(target, {
      write: (data: unknown, how?: WriteOptions) => tell({ data }, how),
      emit: (event: string, data: unknown = null, how?: WriteOptions) => tell({ data, event }, how, title('event:', event)),
      request: (event: string, data: unknown = null, { timeout = primus.options.requestTimeout, signal }: RequestOptions = {}) =>
        ask(
          mine,
          (id) => {
            if (requests.size >= LIMIT) throw new Error('too many requests');
            return post({ data, event }, {}, title(`request:${id}:`, event));
          },
          _parser.decoder,
          timeout,
          signal,
        ),
      subscribe(room: string, listener: Listener, { last }: SubscribeOptions = {}) {
        escape(room);
        const one = rooms.get(room) || join(room, last);
        const { _listeners, _ready } = one;
        const handle = {
          room,
          ready: _ready,
          unsubscribe() {
            if (_listeners.delete(handle) && !_listeners.size && rooms.get(room) == one) {
              rooms.delete(room);
              command('unsubscribe', { room }).catch(() => {});
            }
          },
        };
        _listeners.set(handle, listener);
        return handle;
      },
      onAny: on.bind(0, INCOMING),
      offAny: off.bind(0, INCOMING),
      onAnyOutgoing: on.bind(0, OUTGOING),
      offAnyOutgoing: off.bind(0, OUTGOING),
    });

    mine._receive = ({ _kind, _numbers, _name: event, _rooms = [], _body }) => {
      if (_kind == 'request') return answer(_numbers[0], event!, _body);
      // The root has no `_end`: there, this throws.
      if (event == 'primus.end') return (mine as ChannelFace)._end(ending(_body));
      if (event == 'primus.error') return emit('error', refused('EventError', _body));
      if (reserved(event)) throw 0;
      /** Those who get it instead of everybody, each by the first of its rooms. */
      const subscribers = new Map<Listener, string>();
      for (const [room, offset] of _rooms) {
        const one = rooms.get(room);
        if (one?._since && offset) one._since.offset = offset;
        one?._listeners.forEach((listener) => subscribers.has(listener) || subscribers.set(listener, room));
      }
      try {
        const packet = { data: _parser.decoder(_body), event };
        if (!passes('incoming', packet)) return;
        const { data } = packet;
        if (subscribers.size) subscribers.forEach((room, listener) => call(target, listener, [data, event, room]));
        else if (event) {
          emit(INCOMING, event, data);
          emit(event, data);
        } else emit('data', data, _body);
      } catch (error) {
        emit('error', error);
      }
    };
    return mine;
  };

  const root = face({} as Face, primus, emit);

  primus.channel = (name: string, { auth }: ChannelOptions = {}) => {
    const head = 'channel:' + escape(name);
    const before = channels.get(name);
    if (before && !before._over) return before._channel;

    const channel: any = { name };
    const mine = { _held: true, _channel: channel } as ChannelFace;
    const emit = emitter(channel);
    const wrap = (frame: Payload) => control(head, frame);
    face(mine, channel, emit, wrap);

    const goodbye = () => _send(wrap(control('event:primus.end', '{}')), passing);
    /** Its name is free. While the answer is missing, the next channel has to wait for that. */
    const free = () => channels.get(name) == mine && channels.delete(name);
    mine._end = (why, event = 'end') => {
      if (mine._over) return;
      mine._over = true;
      mine._rooms.clear();
      giveUp((one) => one._gate == mine);
      if (mine._held) _drop(mine);
      else free();
      emit(event, why);
    };
    channel.end = () => {
      if (!mine._over && !mine._held) goodbye();
      mine._end(closing(1000, 'normal'));
      return channel;
    };
    channels.set(name, mine);
    mine._renew = keep(
      async () => {
        await before?._renew();
        await root._command('open', { channel: name, auth: await asked(auth) }, ({ id }) => {
          if (mine._over) {
            goodbye();
            free();
          } else {
            channel.id = id;
            mine._held = false;
            _changed();
            emit('open');
          }
        });
      },
      () => !mine._over && !_ended(),
      (error) => {
        free();
        mine._end(error, 'error');
      },
    );
    return channel;
  };

  return {
    _receive(frame) {
      const { _kind, _numbers, _body, _channel } = frame;
      const request = requests.get(+_numbers[0]);
      const one = _channel ? channels.get(_channel) : root;
      if (_kind == 'reply') request?._resolve(_body);
      else if (_kind == 'refuse') request?._reject(refused('RefusedError', _body));
      // What is on its way while we leave, or before we are let in, is for nobody.
      else if (one && !one._held && !one._over) one._receive(frame);
    },
    _renew(ended) {
      // What was never sent waits for the next session.
      const { buffer } = primus;
      const all = [...channels.values()];
      sessions++;
      giveUp((one) => !buffer.includes(one._frame));
      if (ended) root._rooms.clear();
      all.map((one) => {
        if (ended) return one._end(ended);
        one._held = true;
        one._renew();
      });
      [root, ...all].map((one) => one._rooms.forEach((room) => room._renew()));
    },
    _asking: () => requests.size,
  };
};
