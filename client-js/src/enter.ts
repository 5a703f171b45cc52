import { closing, refusal } from './close';
import { parse } from './frames';
import type { Stop } from './race';
import { session } from './session';
import type { AttachReply, Carrier, Dial, Transport, Wire } from './transport';

/**
 * Opens a carrier that takes part in an attempt, and waits for the server's attach frame. Who has been made to leave calls nobody any more.
 */
export const enter = (
  transport: Transport,
  dial: Dial,
  attached: (carrier: Carrier, wire: Wire, reply: AttachReply) => void,
  down: Wire['_down'],
  opened = () => {},
): Stop => {
  let carrier: Carrier | undefined;
  const wire: Wire = {
    _alive() {},
    _opened: opened,
    _frame(data) {
      try {
        const { _kind, _body } = parse(data);
        const reply = JSON.parse(_body);
        if (_kind == 'refuse') wire._down(refusal(reply));
        else if (_kind == 'attach' && reply.id && dial._fits(reply)) attached(carrier!, wire, reply);
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
    carrier = transport._dial(dial, wire);
  } catch (error: any) {
    wire._down(closing(1006, error.message));
  }
  return (how = dial._leave) => {
    down = wire._opened = () => {};
    // Too late: then it ends the session that it did get.
    attached = (one, _wire, reply) => ALONE || one._attached(reply, session());
    carrier?._close(how);
  };
};
