import type { CloseReason } from './close';
import { enter } from './enter';
import { improve } from './improve';
import { recall, remember } from './memory';
import type { Carrier, Dial, Transport } from './transport';

/** How long a transport may keep us waiting before the next one is started beside it. */
const STAGGER = 700;

/** The same once its connection is open and only the server's answer is missing. */
const PATIENCE = 4000;

/** Gives up. By how it leaves (`Carrier._close`), the session that it may have reached ends (1) or not (0). */
export type Stop = (how?: 0 | 1) => void;

/**
 * Makes an attempt to connect, and calls one of the two, once. What it returns gives up, and calls neither. Who won may be followed by a better
 * one; `stop` forbids that.
 */
export type Connect = (
  dial: Dial,
  won: (carrier: Carrier, stop?: Stop) => void,
  failed: (reason: CloseReason) => void,
) => Stop;

/** Attempts with one transport. */
export const alone =
  (transport: Transport): Connect =>
  (dial, won, failed) =>
    enter(transport, dial, won, (reason) => failed(reason));

/**
 * Attempts with several transports: starts one after the other until one has attached. That one wins; the others leave, and
 * end the new sessions that they may have got. A refusal by the server is an answer and ends the race, too.
 */
export const race =
  (all: Transport[]): Connect =>
  (dial, won, failed) => {
    /** The transports that are wanted and that this environment can do, the best first. */
    const able = dial._options.transports!.flatMap((name) => all.filter((one) => one._name == name && dial._options[one._needs]));
    // What worked lately goes first.
    const known = recall();
    const transports = [...able].sort((a, b) => ((b._name == known) as any) - ((a._name == known) as any));
    const leaves: Stop[] = [];
    let running = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let worst: CloseReason | undefined;

    const finish = (how?: 0 | 1, winner?: Stop) => {
      clearTimeout(timer);
      for (const leave of leaves) if (leave != winner) leave(how);
    };

    const win = (carrier: Carrier) => {
      // Who had no choice has learnt nothing.
      if (able[1]) remember(carrier._name);
      won(carrier, carrier._name == able[0]._name ? undefined : improve(able[0], dial, carrier, win));
    };

    const patience = (time: number) => {
      clearTimeout(timer);
      timer = setTimeout(start, time);
    };

    const start = () => {
      const transport = transports.shift();
      if (!transport) return;
      running++;
      patience(STAGGER);
      const leave = enter(
        transport,
        dial,
        (carrier) => {
          // Where the session is gone, others have got new ones as well.
          finish(carrier._reply.resumed ? 0 : 1, leave);
          win(carrier);
        },
        (reason, soft) => {
          running--;
          // Who has a session was served before: that a transport is missing will pass.
          if (soft && !dial._leave) reason.reconnect = true;
          // What our server says tells more than what some proxy or the network did.
          if (!worst || reason.status) worst = reason;
          // The server has spoken: to ask it again another way would be rude, and would ask its `authorize` twice. But 409 says
          // only that another attach of ours was later.
          if ((reason.status && reason.status != 409 && !soft) || (!running && !transports[0])) {
            finish();
            failed(worst);
          } else start();
        },
        () => patience(PATIENCE),
      );
      leaves.push(leave);
    };

    if (!transports[0]) throw new Error('no transport');
    start();
    return finish;
  };
