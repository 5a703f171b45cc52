import { closing, refusal, type CloseReason } from './close';
import { parse, type Payload } from './frames';
import type { Stop } from './race';
import { session } from './session';
import type { Carrier, Dial, Transport } from './transport';

/**
 * Opens a carrier that takes part in an attempt, and waits for the server's attach frame. Who has been made to leave calls nobody any more.
 */
export const enter = (
  transport: Transport,
  dial: Dial,
  attached: (carrier: Carrier) => void,
  down: Carrier['_down'],
  alive = () => {},
): Stop => {
  const carrier = {
    _name: transport._name,
    _alive: alive,
    _frame(data: Payload) {
      try {
        const { _kind, _body } = parse(data);
        carrier._reply = JSON.parse(_body);
        if (_kind == 'refuse') carrier._down(refusal(carrier._reply));
        else if (_kind == 'attach' && dial._fits(carrier._reply)) attached(carrier);
        else throw 0;
      } catch {
        carrier._down(closing(4400, 'protocol error'));
      }
    },
    _down(reason: CloseReason, soft?: boolean) {
      carrier._down = () => {};
      carrier._close?.(0);
      down(reason, soft);
    },
  } as Carrier;
  try {
    transport._dial(dial, carrier);
  } catch (error: any) {
    carrier._down(closing(1006, error.message));
  }
  return (how = dial._leave) => {
    down = carrier._alive = () => {};
    // Too late: then it ends the session that it did get.
    attached = () => ALONE || carrier._attached(session());
    carrier._close?.(how);
  };
};
