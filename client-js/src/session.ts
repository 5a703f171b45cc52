import { byteLength, type Payload } from './frames';
import type { AttachReply } from './transport';

/** Whose frame it is, if not the client's own: it waits while its channel is not open, and is void once that is over. */
export interface Gate {
  _held?: boolean;
  _over?: boolean;
}

/**
 * What both directions of a session have counted, and what of ours may still have to be repeated. It knows no time and no network:
 * carriers come and go, and each takes from here what it sends.
 *
 * ```text
 *              acked          sent
 *   … 3 4 5 6 7 │ 8 9 10 11 12 │ ? ? ?
 *    forgotten       kept        waiting, without numbers
 * ```
 */
export interface Session {
  /** What was never written to a carrier. */
  _waiting(): Payload[];
  /** Adds a frame to that; one of the same gate and key goes. Throws if there is no room for so many bytes. */
  _put(frame: Payload, room?: number, key?: unknown, gate?: Gate): void;
  /** Takes back what waits: this frame, or all frames of this gate. */
  _drop(what: Payload | Gate): void;
  /** What an attach frame says of it. */
  _place(): { recv: number; next: number; sent: number };
  /** Message number `n`: one that is kept, or, as the next number, the first that waits and may go. */
  _peek(n: number): Payload | undefined;
  /** Message `n` is being written: it has that number from now on. */
  _take(n: number): void;
  /** The server has everything up to `n`; throws if that was never sent. What is no number says nothing. */
  _ack(n: number): void;
  /** Whether an attach frame can be the answer to ours. */
  _fits(reply: AttachReply): boolean;
  /** The server goes on from the place that it names. */
  _attached(reply: AttachReply): void;
  /** A message has come; false if it is one that we have. */
  _came(payload: Payload): boolean;
  /** Whether an acknowledgement cannot wait any longer. */
  _due(limits: [messages: number, bytes: number]): boolean;
  /** The highest number that has come, for an acknowledgement that is being sent. */
  _seen(): number;
  /** The same for a poll, whose answer begins behind it. */
  _poll(): number;
  /** While an attach is on its way beside a living carrier, nothing may overtake it: neither a new number nor an acknowledgement. */
  _still(on: boolean): void;
  /** Begins a new session, and gives back what was sent and never acknowledged, or is void. Whatever else waits goes on to wait. */
  _renew(): Payload[];
}

interface Waiting {
  _payload: Payload;
  _key: unknown;
  _gate?: Gate;
  _size: number;
}

/** A session that has just begun. */
export const session = (): Session => {
  let waiting: Waiting[] = [];
  /** What they have together. */
  let bytes = 0;
  let kept: Payload[] = [];
  let acked = 0;
  let recv = 0;
  /** So many of the messages that come next are repeated ones. */
  let repeats = 0;
  /** What was acknowledged, and the bytes that have come since. */
  let told = 0;
  let size = 0;
  /** What may be acknowledged, if not all. */
  let limit: number | undefined;

  const sent = () => acked + kept.length;
  const seen = () => {
    size = 0;
    return (told = ALONE ? recv : (limit ?? recv));
  };
  const ack = (n: number) => {
    if (n > sent()) throw 0;
    if (n > acked) {
      kept.splice(0, n - acked);
      acked = n;
    }
  };
  /** The first that may go. */
  const first = () => waiting.find((one) => !one._gate?._held);
  /** Takes back what meets the condition. */
  const take = (which: (one: Waiting) => unknown) => {
    const taken: Payload[] = [];
    waiting = waiting.filter((one) => {
      if (!which(one)) return true;
      bytes -= one._size;
      taken.push(one._payload);
    });
    return taken;
  };
  return {
    _waiting: () => waiting.map((one) => one._payload),
    _put(_payload, room, _key, _gate) {
      const _size = byteLength(_payload);
      const old = _key != null && waiting.find((one) => one._key == _key && one._gate == _gate);
      // There is always room for one message.
      if (bytes && bytes + _size - ((old && old._size) || 0) > room!) throw new Error('queue full');
      if (old) take((one) => one == old);
      bytes += _size;
      waiting.push({ _payload, _key, _gate, _size });
    },
    _drop(what) {
      take((one) => one._payload == what || one._gate == what);
    },
    _place: () => ({ recv, next: acked + 1, sent: sent() }),
    _peek: (n) => kept[n - acked - 1] ?? (ALONE || limit == null ? first()?._payload : undefined),
    _take(n) {
      if (n > sent()) {
        const one = first()!;
        waiting.splice(waiting.indexOf(one), 1);
        kept.push(one._payload);
        bytes -= one._size;
      }
    },
    _ack: ack,
    _fits: (reply) => (reply.resumed ? reply.recv <= sent() && reply.next <= recv + 1 : !reply.recv && reply.next == 1),
    _attached(reply) {
      ack(reply.recv);
      repeats = recv + 1 - reply.next;
    },
    _came(payload) {
      if (repeats) return !repeats--;
      size += byteLength(payload);
      return !!++recv;
    },
    _due: ([messages, bytes]) => recv - told >= messages || size >= bytes,
    _seen: seen,
    _renew() {
      const lost = kept.concat(take((one) => one._gate?._over));
      kept = [];
      acked = recv = told = 0;
      return lost;
    },
    ...(ALONE
      ? ({} as any)
      : {
          _poll() {
            repeats = recv - seen();
            return told;
          },
          _still(on: boolean) {
            limit = on ? recv : undefined;
          },
        }),
  };
};
