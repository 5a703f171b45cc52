import type { Channel, ChannelOptions } from './api';
import { closing, type CloseReason } from './close';
import { emitter, type Emit } from './emitter';
import { face, type Core, type Face } from './face';
import { control, escape, type Frame, type Payload } from './frames';
import { asked } from './options';
import { requests } from './requests';

/** The inner side of a channel. */
interface ChannelFace extends Face {
  _channel: Channel;
  _emit: Emit;
  /** While it is being opened. */
  _entering?: Promise<void>;
  /** Opens it, unless it is, or there is no connection. */
  _enter(): void;
  /** It is over; what waits of it is dropped, unless `mild`. */
  _leave(mild?: boolean): void;
}

/** The root and the channels of a client. */
export interface Faces {
  /** A message has come. Throws if the protocol does not allow it. */
  _receive(frame: Frame): void;
  /** There is a connection. */
  _opened(): void;
  /** The session is gone. */
  _forget(): void;
  /** The client has ended. What it returns tells the channels. */
  _finish(reason: CloseReason): () => void;
  /** Whether a request waits for its answer. */
  _asking(): boolean;
}

/** What they need of the client, besides what a face does. */
export interface Client extends Omit<Core, '_requests' | '_passing' | '_session'> {
  _open(): boolean;
  _flush(): void;
  _waiting(): Payload[];
  _drop(what: Payload | Face): void;
  /** Whether somebody waits for an answer has changed. */
  _changed(): void;
}

/**
 * Gives `primus` its face, and `channel`, which makes more of them. A channel is the same face with its name around every frame, and a gate
 * that holds its frames until the server has let it in.
 *
 * ```text
 *             _enter()              the answer                 end(), or the server's word
 *  held ────────────────▶ entering ────────────▶ open (not held) ────────────▶ over
 *   ▲                        │ refused: over            │
 *   └────────────────────────┴──────────────────────────┘ the session is lost
 * ```
 */
export const faces = (primus: any, emit: Emit, client: Client): Faces => {
  const channels = new Map<string, ChannelFace>();
  let sessions = 0;
  const core: Core = {
    ...client,
    _requests: requests(client._drop as any, client._changed),
    _passing: { _over: true },
    _session: () => sessions,
  };
  const { _requests, _passing } = core;
  const root = face(core, {}, primus, emit);

  primus.channel = (name: string, { auth }: ChannelOptions = {}) => {
    const head = 'channel:' + escape(name);
    const before = channels.get(name);
    if (before && !before._over) return before._channel;

    const channel: any = { name };
    const emit = emitter(channel);
    const wrap = (frame: Payload) => control(head, frame);
    const mine: ChannelFace = face(
      core,
      {
        _held: true,
        _channel: channel,
        _emit: emit,
        _enter() {
          if (mine._held && !mine._over && !mine._entering && client._open()) mine._entering = enter();
        },
        _leave(mild) {
          mine._over = true;
          mine._rooms.clear();
          if (!mild) client._drop(mine);
          _requests._giveUp((one) => one._gate == mine);
          forget();
        },
      } as Partial<ChannelFace>,
      channel,
      emit,
      wrap,
    ) as ChannelFace;
    const { _receive } = mine;

    /** While it is being opened, the next one of this name has to wait for it. */
    const forget = () => {
      if (!mine._entering && channels.get(name) == mine) channels.delete(name);
    };
    const goodbye = () => client._send(wrap(control('event:primus.end', '{}')), _passing, undefined, Infinity);

    const enter = async () => {
      try {
        await before?._entering;
        const request = { channel: name, auth: await asked(auth) };
        if (!mine._over)
          await root._command('primus.open', request, ({ id }) => {
            if (mine._over) return goodbye();
            channel.id = id;
            mine._held = false;
            client._flush();
            emit('open');
          });
      } catch (error: any) {
        if (!mine._over && error.name != 'ClosedError') {
          mine._leave();
          emit('error', error);
        }
      }
      mine._entering = undefined;
      if (mine._over) forget();
      else mine._enter();
    };

    mine._receive = (frame) => {
      if (frame._kind != 'event' || frame._name != 'primus.end') return _receive(frame);
      const reason = { ...closing(4000, 'ended'), ...JSON.parse(frame._body) };
      mine._leave();
      emit('end', reason);
    };
    channel.end = () => {
      if (!mine._over) {
        if (!mine._held) goodbye();
        mine._leave(!mine._held);
        emit('end', closing(1000, 'normal'));
      }
      return channel;
    };
    channels.set(name, mine);
    mine._enter();
    return channel;
  };

  const all = () => [...channels.values()];
  return {
    _receive(frame) {
      if (/^re[pf]/.test(frame._kind)) return _requests._answered(frame);
      const one = frame._channel ? channels.get(frame._channel) : root;
      // What is on its way while we leave, or before we are let in, is for nobody.
      if (one && !one._held && !one._over) one._receive(frame);
    },
    _opened: () => all().forEach((one) => one._enter()),
    _forget() {
      sessions++;
      const waiting = new Set(client._waiting());
      _requests._giveUp((one) => !waiting.has(one._frame));
      for (const one of [root, ...all()]) {
        if (one != root) one._held = true;
        if (!client._ended()) one._rooms.forEach((room) => room._renew());
      }
    },
    _finish(reason) {
      const living = all().filter((one) => !one._over);
      root._rooms.clear();
      _requests._giveUp(() => true);
      living.forEach((one) => one._leave());
      return () => living.forEach((one) => one._emit('end', reason));
    },
    _asking: () => _requests._count() > 0,
  };
};
