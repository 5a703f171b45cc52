import { sleep } from '../backoff';
import { dialect } from './dialect';

/** At most so many messages in one request. */
const MAPS = 256;

/** BrowserChannel 8: a request is held and answered by numbered lists, messages of ours are forms. */
export const browserchannel = dialect('browserchannel', 'fetch', true, ({ _url, _options }, query, told) => {
  // Called bare: `fetch` insists on its own `this`.
  const { fetch, credentials } = _options;
  const abort = new AbortController();
  let waiting: string[] = [];
  let session = '';
  /** The number of the next request, of the first message that waits, and of the last list that has come. */
  let rid = Math.random() * 1e5 | 0;
  let first = 0;
  let last = 0;
  let sending: unknown;
  let leaving: unknown;

  const request = (more: string, body?: URLSearchParams, keepalive = false) =>
    fetch!(`${_url}/bind?VER=8${session}${more}${query}`, { method: body ? 'POST' : 'GET', body, credentials, keepalive, signal: abort.signal });

  const closed = (code: number, reason?: string) => {
    abort.abort();
    told._closed(code, reason);
  };

  const refused = async (response: Response) => {
    const text = await response.text();
    let error;
    try {
      error = JSON.parse(text).error;
    } catch {}
    // That there is no such session is no refusal.
    closed(session ? 1006 : 4000 + response.status, error);
  };

  /** Reads texts, each with its length before it, and gives away what is in them. */
  const read = async (response: Response) => {
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      told._alive();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      for (;;) {
        const [head, length] = /^(\d+)\n/.exec(rest) || [''];
        const end = head.length + +length!;
        if (!(rest.length >= end)) break;
        for (const [id, what] of JSON.parse(rest.slice(head.length, end))) {
          last = Math.max(last, id);
          if (typeof what == 'string') told._message(what);
          else if (what[0] == 'c') {
            session = '&SID=' + what[1];
            told._opened();
          } else if (what[0] == 'stop') closed(1000);
        }
        rest = rest.slice(end);
      }
    }
  };

  const run = async () => {
    let response = await request(`&CVER=1&RID=${rid++}`, new URLSearchParams({ count: '0' }));
    if (response.ok) {
      await read(response);
      while ((response = await request(`&RID=rpc&CI=0&TYPE=xmlhttp&AID=${last}`)).ok) await read(response);
    }
    await refused(response);
  };

  /** Sends what waits, one request at a time. */
  const pump = async () => {
    if (sending || !session) return;
    sending = true;
    // What is written in one go leaves in one request.
    await 0;
    while (waiting[0] != undefined) {
      const some = waiting.slice(0, MAPS);
      const body = new URLSearchParams({ count: '' + some.length, ofs: '' + first });
      some.forEach((text, n) => body.set(`req${n}__S`, text));
      const response = await request(`&RID=${rid}&AID=${last}`, body);
      if (response.ok) {
        rid++;
        first += some.length;
        waiting = waiting.slice(some.length);
        // Its end is the connection's, too: it is free for the next request.
        await response.text();
      } else if (response.status == 429) await sleep(1000);
      else return refused(response);
    }
    sending = false;
    if (leaving) request(`&RID=${rid}&AID=${last}&TYPE=terminate`, undefined, true).catch(() => {}).finally(() => abort.abort());
  };

  const lost = (error: Error) => closed(1006, error.message);
  run().catch(lost);
  return {
    _send(message) {
      waiting.push(message as string);
      pump().catch(lost);
    },
    _waiting: () => waiting.join('').length,
    _end() {
      leaving = true;
      if (session) pump().catch(lost);
      else abort.abort();
    },
  };
});
