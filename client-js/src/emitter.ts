import type { Listener } from './api';

/** Calls the listeners of an event; tells whether there were any. */
export type Emit = (event: string, ...args: unknown[]) => boolean;

/** A listener that may stand for another one. */
interface Once extends Listener {
  _of?: Listener;
}

/**
 * Calls a listener. One that throws cannot stop the others, nor the state machine that emitted: its error is reported as an uncaught one,
 * just after.
 */
export const call = (target: unknown, listener: Listener, args: unknown[]): void => {
  try {
    listener.apply(target, args);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
};

/** Gives `target` the methods of an event emitter, as everyone knows them, but for `emit`, which it returns. */
export const emitter = (target: any): Emit => {
  let events: Record<string, Once[]>;
  const listeners = (event: string) => events[event] || [];
  // A new array every time: whoever is emitting goes on with the list that it began with.
  const on = (event: string, listener: Listener) => {
    events[event] = [...listeners(event), listener];
    return target;
  };
  const off = (event?: string, listener?: Listener) => {
    if (event || listener) events[event!] = listeners(event!).filter((one) => listener && one != listener && one._of != listener);
    else events = { __proto__: null } as any;
    return target;
  };
  const emit = (event: string, ...args: unknown[]) =>
    listeners(event).map((listener) => call(target, listener, args)).length > 0;
  Object.assign(off(), {
    on,
    off,
    listeners,
    removeListener: off,
    removeAllListeners: off,
    once(event: string, listener: Listener) {
      const once: Once = (...args) => {
        off(event, once);
        return listener.apply(target, args);
      };
      once._of = listener;
      return on(event, once);
    },
  });
  return emit;
};
