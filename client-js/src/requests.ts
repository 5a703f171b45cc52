import { EVER } from './backoff';
import type { Frame, Payload } from './frames';
import type { Gate } from './session';

/** An error that is told apart by its name. */
export const failure = (name: string, message: string, more?: object): Error => Object.assign(new Error(message), { name }, more);

/** A request of ours that has no answer yet. */
interface Request {
  _frame: Payload;
  _gate: Gate;
  _resolve(body: any): void;
  _reject(error: unknown): void;
}

/** The requests of ours that have no answer yet. */
export interface Requests {
  /** Makes one: `send` sends it, and returns its frame, or a boolean if it did not. `decode` is called as soon as the answer has come. */
  _ask<T>(
    gate: Gate,
    send: (id: number) => Payload | boolean,
    decode: (body: any) => T,
    timeout?: any,
    signal?: AbortSignal,
  ): Promise<T>;
  /** An answer has come. One that nobody waits for means nothing. */
  _answered(frame: Frame): void;
  /** These will get none. */
  _giveUp(which: (request: { _frame: Payload; _gate: Gate }) => unknown): void;
  _count(): number;
}

/** `drop` takes back the frame of one that is not waited for any more; `changed` hears that there is one more, or one less. */
export const requests = (drop: (frame: Payload) => void, changed: () => void): Requests => {
  const open = new Map<string, Request>();
  let ids = 0;
  return {
    _ask(_gate, send, decode, timeout, signal) {
      const id = ++ids;
      let timer: ReturnType<typeof setTimeout>;
      let abort: () => void;
      return new Promise<any>((resolve, _reject) => {
        abort = () => _reject(signal!.reason);
        if (signal?.aborted) return abort();
        const _frame = send(id);
        if (typeof _frame == 'boolean') throw failure('ClosedError', _frame ? 'dropped by a transform' : 'closed');
        open.set('' + id, { _frame, _gate, _reject, _resolve: (body) => resolve(new Promise((done) => done(decode(body)))) });
        changed();
        signal?.addEventListener('abort', abort);
        if (timeout > 0) timer = setTimeout(() => _reject(failure('TimeoutError', 'no answer')), Math.min(timeout, EVER));
      }).finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        const one = open.get('' + id);
        if (one) {
          open.delete('' + id);
          drop(one._frame);
          changed();
        }
      });
    },
    _answered({ _kind, _numbers: [id], _body }) {
      const one = open.get(id);
      if (_kind == 'reply') one?._resolve(_body);
      else {
        const { error, status } = JSON.parse(_body);
        one?._reject(failure('RefusedError', typeof error == 'string' ? error : JSON.stringify(error), { status, data: error }));
      }
    },
    _giveUp(which) {
      open.forEach((one) => which(one) && one._reject(failure('ClosedError', 'closed')));
    },
    _count: () => open.size,
  };
};
