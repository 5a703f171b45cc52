import { closing, refusal, type CloseReason } from './close';
import { parse } from './frames';
import { recall, remember } from './memory';
import type { AttachReply, Carrier, Dial, Transport, Wire } from './transport';

/** How long a transport may keep us waiting before the next one is started beside it. */
const STAGGER = 700;

/** The same once its connection is open and only the server's answer is missing. */
const PATIENCE = 4000;

/** Makes an attempt to connect, and calls one of the two, once. What it returns gives up. */
export type Connect = (
  dial: Dial,
  won: (name: string, carrier: Carrier, wire: Wire, reply: AttachReply) => void,
  failed: (reason: CloseReason) => void,
) => () => void;

/** Opens a carrier that takes part in an attempt, and waits for the server's attach frame. */
const enter = (
  transport: Transport,
  dial: Dial,
  attached: (carrier: Carrier, wire: Wire, reply: AttachReply) => void,
  down: Wire['_down'],
  opened: () => void,
): Carrier | undefined => {
  let carrier: Carrier | undefined;
  const wire: Wire = {
    _alive() {},
    _opened: opened,
    _frame(data) {
      try {
        const [head, body] = parse(data);
        const reply = JSON.parse(body);
        if (head == 'refuse') wire._down(refusal(reply));
        else if (head == 'attach' && reply.id) attached(carrier!, wire, reply);
        else throw 0;
      } catch {
        wire._down(closing(4400, 'protocol error'));
      }
    },
    _down(reason, soft) {
      wire._down = () => {};
      carrier?._close(0);
      down(reason, soft);
    },
  };
  try {
    return (carrier = transport._dial(dial, wire));
  } catch (error: any) {
    wire._down(closing(1006, error.message));
  }
};

/** Attempts with one transport. */
export const alone =
  (transport: Transport): Connect =>
  (dial, won, failed) => {
    const carrier = enter(
      transport,
      dial,
      (...winner) => won(transport._name, ...winner),
      failed,
      () => {},
    );
    return () => carrier?._close(1);
  };

/** The transports of these names that this environment can do, in the order to try: what worked lately goes first. */
const choose = (all: Transport[], dial: Dial): Transport[] => {
  const wanted = dial._transports ? dial._transports.flatMap((name) => all.filter((one) => one._name == name)) : all;
  const known = recall();
  return wanted.filter((one) => one._able(dial)).sort((a, b) => ((b._name == known) as any) - ((a._name == known) as any));
};

/**
 * Attempts with several transports: starts one after the other until one has attached. That one wins; the others are closed, and
 * the session that one of them may have got is ended. A refusal by the server is an answer and ends the race, too.
 */
export const race =
  (all: Transport[]): Connect =>
  (dial, won, failed) => {
    const transports = choose(all, dial);
    const several = transports[1];
    const carriers: (Carrier | undefined)[] = [];
    let running = 0;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let worst: CloseReason | undefined;

    const finish = (winner?: Carrier) => {
      over = true;
      clearTimeout(timer);
      for (const carrier of carriers) if (carrier != winner) carrier?._close(1);
    };

    const patience = (time: number) => {
      clearTimeout(timer);
      if (!over) timer = setTimeout(start, time);
    };

    const start = () => {
      const transport = transports.shift();
      if (!transport) return;
      running++;
      patience(STAGGER);
      carriers.push(
        enter(
          transport,
          dial,
          (carrier, wire, reply) => {
            // Too late: then it ends the session that it did get.
            if (over) return carrier._attached(reply, []);
            finish(carrier);
            // Who had no choice has learnt nothing.
            if (several) remember(transport._name);
            won(transport._name, carrier, wire, reply);
          },
          (reason, soft) => {
            if (over) return;
            running--;
            // What our server says tells more than what some proxy or the network did.
            if (!worst || reason.status) worst = reason;
            // The server has spoken: to ask it again another way would be rude, and would ask its `authorize` twice.
            if ((reason.status && !soft) || (!running && !transports[0])) {
              finish();
              failed(worst);
            } else start();
          },
          () => patience(PATIENCE),
        ),
      );
    };

    if (!transports[0]) throw new Error('no transport');
    start();
    return finish;
  };
