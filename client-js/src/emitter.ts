import type { Listener } from './api';

type Once = Listener & { _of?: Listener };

/**
 * Gives `target` the methods of an event emitter, as everyone knows them, and returns `emit`.
 *
 * A listener that throws cannot stop the others, nor the state machine that emitted: its error is reported as an uncaught
 * one, just after.
 */
export const emitter = (target: any): ((event: string, ...args: unknown[]) => boolean) => {
  let events: Record<string, Once[]>;
  const listeners = (event: string) => events[event] || [];
  // A new array every time: whoever is emitting goes on with the list that it began with.
  const on = (event: string, listener: Listener) => {
    events[event] = [...listeners(event), listener];
    return target;
  };
  const off = (event: string, listener?: Listener) => {
    events[event] = listeners(event).filter((one) => listener && one != listener && one._of != listener);
    return target;
  };
  const emit = (event: string, ...args: unknown[]) =>
    listeners(event).map((listener) => {
      try {
        listener.apply(target, args);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    }).length > 0;
  const clear = () => {
    events = { __proto__: null } as any;
    return target;
  };
  Object.assign(clear(), {
    on,
    off,
    emit,
    listeners,
    removeListener: off,
    once(event: string, listener: Listener) {
      const once: Once = (...args) => {
        off(event, once);
        listener.apply(target, args);
      };
      once._of = listener;
      return on(event, once);
    },
    removeAllListeners: (event?: string) => (event ? off(event) : clear()),
  });
  return emit;
};
