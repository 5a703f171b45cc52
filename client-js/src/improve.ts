import { delay } from './backoff';
import type { CloseReason } from './close';
import { enter } from './enter';
import { session } from './session';
import type { Stop } from './race';
import type { Carrier, Dial, Transport } from './transport';

/** How long a transport is left alone before the best one is tried, and by how much more after each attempt, at random. */
const REST = 3000;
const PACE = { min: 10000, max: 297000, factor: 2 };

/** How long an attempt may take. While the server's answer is missing, nothing is sent. */
const PATIENCE = 4000;

/** From 1, one more after each attempt in vain: it is the page's network that was tried, whatever client did it, and whatever becomes of it. */
let tries = 1;

/**
 * While the `carrier` is at work, which was not the first choice, tries that now and then, beside it. When it has attached to the
 * session it replaces the other: `won`. What this returns stops that.
 */
export const improve = (
  best: Transport,
  dial: Dial,
  carrier: Carrier,
  won: (carrier: Carrier) => void,
): Stop => {
  /** 0 once it is over. */
  let timer: ReturnType<typeof setTimeout> | 0 | -1 = -1;
  let trial: Stop | undefined;

  const rest = () => {
    if (timer) timer = setTimeout(() => dial._again().then(look, rest), REST + delay(PACE, tries));
  };

  const look = (fresh: Dial) => {
    if (!timer) return;
    const { _down } = carrier;
    let fallen: CloseReason | undefined;
    // The server lets the old carrier go as soon as the new one has attached: that may be known here before the answer is.
    carrier._down = (reason) => {
      fallen = reason;
    };
    const vain = (how: 0 | 1 = 0) => {
      clearTimeout(timer);
      tries++;
      trial?.(how);
      carrier._down = _down;
      fresh._vain();
      if (fallen) _down(fallen);
      else rest();
    };
    timer = setTimeout(vain, PATIENCE);
    trial = enter(
      best,
      fresh,
      (one) => {
        if (one._reply.resumed) {
          stop();
          tries = 1;
          return won(one);
        }
        // The session cannot be had, and this is another one. Whether it is gone its own carrier will find out.
        one._attached(session());
        vain(1);
      },
      () => vain(),
    );
  };

  const stop = () => {
    clearTimeout(timer);
    timer = 0;
  };

  rest();
  return (how = 0) => {
    stop();
    trial?.(how);
  };
};
