import { byteLength, type Payload } from './frames';
import type { AttachReply } from './transport';

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
  /** Adds a message to that; one of the same key goes. Throws if there is no room for so many bytes. */
  _put(payload: Payload, room?: number, key?: unknown): void;
  /** What an attach frame says of it. */
  _place(): { recv: number; next: number; sent: number };
  /** Message number `n`: one that is kept, or, as the next number, the first that waits. */
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
  /** Begins a new session, and gives back what was sent and never acknowledged. What waits goes on to wait. */
  _renew(): Payload[];
}

/** A session that has just begun. */
export const session = (): Session => {
  let waiting: { _payload: Payload; _key: unknown; _size: number }[] = [];
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
  return {
    _waiting: () => waiting.map((one) => one._payload),
    _put(_payload, room, _key) {
      const _size = byteLength(_payload);
      const old = _key == null ? undefined : waiting.find((one) => one._key == _key);
      const sum = bytes + _size - (old?._size ?? 0);
      // There is always room for one message.
      if (bytes && sum > room!) throw new Error('queue full');
      bytes = sum;
      if (old) waiting = waiting.filter((one) => one != old);
      waiting.push({ _payload, _key, _size });
    },
    _place: () => ({ recv, next: acked + 1, sent: sent() }),
    _peek: (n) => (n <= sent() ? kept[n - acked - 1] : ALONE || limit == null ? waiting[0]?._payload : undefined),
    _take(n) {
      if (n > sent()) {
        const { _payload, _size } = waiting.shift()!;
        kept.push(_payload);
        bytes -= _size;
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
      const lost = kept;
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
