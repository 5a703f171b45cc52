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
  let heard = Date.now();
  let asked = 0;

  const look = () => {
    clearTimeout(timer);
    if (!quiet || !wait) return;
    const left = (asked ? asked + wait : heard + quiet) - Date.now();
    if (left > 0) timer = setTimeout(look, left);
    else if (asked) dead();
    else inquire();
  };
  const inquire = () => {
    asked = Date.now();
    ask();
    look();
  };
  look();
  return {
    _heard() {
      heard = Date.now();
      if (asked) {
        asked = 0;
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
