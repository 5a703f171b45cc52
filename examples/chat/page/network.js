// A network that can be hurt: what the client uses to reach the server.

/** Whether anything leaves for the server, and whether anything from it arrives. */
let leaves = true;
let arrives = true;
/** Which direction failed first the last time. */
let deaf = false;
/** The wire that connections are made over: it is cut by `abort`. */
let wire = new AbortController();
let doom;

/** One direction fails, which the client cannot know, and a moment later the connection is gone without a word. */
function cut() {
  deaf = !deaf;
  if (deaf) arrives = false;
  else leaves = false;
  clearTimeout(doom);
  doom = setTimeout(() => {
    leaves = arrives = true;
    wire.abort();
    wire = new AbortController();
  }, 200);
}

/** Nothing passes for `time` ms, which nobody is told. Then the connection is lost, and what it should have carried with it. */
function freeze(time) {
  leaves = arrives = false;
  clearTimeout(doom);
  doom = setTimeout(cut, time);
}

/** The options `WebSocket` and `fetch` of the client. */
const network = {
  WebSocket: class extends WebSocket {
    constructor(...address) {
      super(...address);
      const { signal } = wire;
      const die = () => {
        this.close();
        this.dispatchEvent(new CloseEvent('close', { code: 1006 }));
      };
      signal.addEventListener('abort', die);
      // The first listener: it can keep an event of the browser's from all others.
      const hear = (event) => {
        if (!event.isTrusted) return;
        if (!arrives || signal.aborted) event.stopImmediatePropagation();
        else if (event.type === 'close') signal.removeEventListener('abort', die);
      };
      for (const type of ['open', 'message', 'error', 'close']) this.addEventListener(type, hear);
    }
    send(data) {
      if (leaves) super.send(data);
    }
  },

  async fetch(url, init) {
    const signal = AbortSignal.any([wire.signal, init.signal].filter(Boolean));
    /** Who has to wait waits until the wire is cut. */
    const passes = (open) =>
      open ||
      new Promise((_, fail) => {
        signal.throwIfAborted();
        signal.addEventListener('abort', () => fail(signal.reason));
      });
    await passes(leaves);
    const answer = await fetch(url, { ...init, signal });
    await passes(arrives);
    if (answer.status === 204) return answer;
    const body = answer.body.pipeThrough(
      new TransformStream({
        async transform(chunk, out) {
          await passes(arrives);
          out.enqueue(chunk);
        },
        flush: () => passes(arrives),
      }),
    );
    return new Response(body, answer);
  },
};
