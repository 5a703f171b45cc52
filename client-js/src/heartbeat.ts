/** Watches over a connection. */
export interface Heartbeat {
  /** There was traffic. */
  _heard(): void;
  /** Asks for a sign of life now. */
  _ask(): void;
  _stop(): void;
}

/**
 * After `quiet` ms without traffic it calls `ask`, and, if there is still none `wait` ms later, `dead`. Without one of the two
 * it never does by itself. One timer, and no work per message: it looks at the clock only when the timer goes off.
 */
export const heartbeat = (
  quiet: number | false | undefined,
  wait: number | false | undefined,
  ask: () => void,
  dead: () => void,
): Heartbeat => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** When we have heard or asked for the last time. */
  let last = Date.now();
  let asked = false;

  const look = () => {
    clearTimeout(timer);
    if (!quiet || !wait) return;
    const left = last + (asked ? wait : quiet) - Date.now();
    if (left > 0) timer = setTimeout(look, left);
    else if (asked) dead();
    else inquire();
  };
  const inquire = () => {
    last = Date.now();
    asked = true;
    ask();
    look();
  };
  look();
  return {
    _heard() {
      last = Date.now();
      if (asked) {
        asked = false;
        look();
      }
    },
    _ask: inquire,
    // For good: traffic may still come, on a carrier that is being closed.
    _stop() {
      quiet = 0;
      look();
    },
  };
};
