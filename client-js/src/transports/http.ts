import { sleep } from '../backoff';
import { closing, refusal } from '../close';
import { byteLength, control, toLine, utf8 } from '../frames';
import type { Session } from '../session';
import type { Carrier, Transport } from '../transport';
import { lineReader } from './lines';

/** At most so many frames in one request, the acknowledgement included, and one for the end. */
const ITEMS = 255;

/** More than this in the queue, and writers wait. */
const BUSY = 64;

/** How long a clean end may take before the connection is dropped. */
const LINGER = 5000;

/**
 * A transport that attaches by `POST {path}/sse` or `{path}/poll`, as its name says, reads frames from the answer, and sends by `POST {path}/send`. With `again`
 * it goes on to read by GET from there, as often as there is an answer.
 */
export const http = (_name: string, begin: RegExp, again?: boolean): Transport => ({
  _name,
  _needs: 'fetch',
  _dial(dial, carrier) {
    // Called bare: `fetch` insists on its own `this`.
    const { fetch, credentials } = dial._options;
    const abort = new AbortController();
    const route = _name.slice(0, 4);
    let session: Session | undefined;
    let urgent: string[] = [];
    let sending = false;
    let keepalive = false;
    let leaving: ReturnType<typeof setTimeout> | undefined;
    /** While the application does not read: fulfilled when it does. */
    let gate: Promise<void> | undefined;
    let open: (() => void) | undefined;

    const request = (path: string, body?: string, signal: AbortSignal | null = abort.signal) =>
      fetch!(`${dial._url}/${path}?v=2${body ? '' : '&recv=' + session!._poll()}${dial._query}`, {
        method: body ? 'POST' : 'GET',
        // Without a token it is a "simple" request of type `text/plain`: no preflight for an attach from another origin.
        headers: carrier._reply && { 'Primus-Token': carrier._reply.token! },
        body,
        keepalive,
        credentials,
        signal,
      });

    const drop = () => {
      clearTimeout(leaving);
      abort.abort();
    };

    const down = (error?: any, code = 1006) => {
      drop();
      carrier._down(closing(code, error?.message));
    };

    /** Sends what there is, one request at a time; what comes meanwhile goes with the next one. */
    const pump = async () => {
      if (sending || !session) return;
      sending = true;
      try {
        // What is written in one go leaves in one request.
        await 0;
        for (;;) {
          // What is kept was not accepted by the last request: it begins anew with that.
          const first = session._place().next;
          let next = first;
          let payload = session._peek(next);
          if (abort.signal.aborted || (!urgent[0] && payload == undefined && !leaving)) break;
          const commands = urgent.splice(0);
          const batch = [control(`ack:${session._seen()}:${first}`), ...commands];
          let room = carrier._reply.maxMessage;
          while (payload != undefined && batch.length < ITEMS) {
            const line = toLine(payload);
            // One message always goes, whatever its size: the server says what it thinks of it.
            if ((room -= byteLength(line) + 1) < 0 && next > first) break;
            batch.push(line);
            session._take(next++);
            payload = session._peek(next);
          }
          const last = leaving && payload == undefined;
          if (last) batch.push(control('end'));
          const response = await request('send', batch.join('\n'));
          if (response.ok) {
            if (last) return drop();
            session._ack(next - 1);
          } else {
            const { status, after, body } = await refused(response);
            if (status == 413) {
              // Nobody will ever take that message.
              request('send', control('end'), null).catch(() => {});
              return down({ message: 'message too big' }, 1009);
            }
            if (body.recv == null) throw 0;
            // It has taken some of it. The rest is for later, and what the others ask or answer, too.
            session._ack(body.recv);
            urgent.unshift(...commands);
            await sleep(after || 1000);
          }
        }
        sending = false;
      } catch (error) {
        down(error);
      }
    };

    /** Reads the frames of one answer; an empty one is a sign of life, too. */
    const read = async ({ body }: Response) => {
      const reader = body?.getReader();
      const decoder = utf8();
      const take = lineReader(begin, carrier);
      for (;;) {
        await gate;
        const { done = true, value } = (await reader?.read()) || {};
        carrier._alive();
        // What is cut off before its line feed is no frame.
        if (done) return;
        take(decoder.decode(value, { stream: true }));
      }
    };

    const run = async () => {
      let response = await request(route, dial._attach()());
      if (response.ok) {
        carrier._alive();
        do await read(response);
        while (again && (response = await request(route)).ok);
        return down();
      }
      const reason = await refused(response);
      // Not the words of our server: then something between us does not like this transport.
      const foreign = !reason.body.error;
      reason.reconnect ||= foreign;
      carrier._down(reason, foreign || /404|405|426/.test(reason.status as any));
    };
    run().catch(down);

    Object.assign(carrier, <Partial<Carrier>>{
      _attached(one) {
        session = one;
        pump();
      },
      _flush(frame) {
        if (frame) urgent.push(frame);
        pump();
      },
      _busy: () => session!._waiting().length > BUSY,
      _pause(on) {
        if (on) gate ||= new Promise((done) => (open = done));
        else gate = open?.() as undefined;
      },
      _close(how) {
        if (!how) drop();
        else if (!abort.signal.aborted) {
          keepalive = how > 1;
          leaving = setTimeout(drop, LINGER);
          pump();
        }
      },
    });
  },
});

/** What an answer says that is no success, in its head and in its JSON, if it has any. */
const refused = async (response: Response) =>
  refusal(
    { ...(await response.json().catch(() => {})), status: response.status },
    1000 * (response.headers.get('Retry-After') as any),
  );
