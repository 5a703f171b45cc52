// Waiting with a limit and a name, so that a test that waits in vain says for what.

/** `promise`, or an error after `ms` that says what did not happen. `detail` may add what is known by then. */
export function within(ms, what, promise, detail = () => '') {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms ${detail()}`.trim())), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The arguments of the next event `name` of an emitter. */
export const once = (emitter, name, ms = 5000) =>
  within(ms, `event ${name}`, new Promise((resolve) => emitter.once(name, (...args) => resolve(args))));

/** Everything an emitter says under `name`, from now on, to be awaited one by one. */
export class Inbox {
  #items = [];
  #waiting = [];

  constructor(emitter, event, name = event) {
    this.name = name;
    emitter.on(event, (first) => this.push(first));
  }

  push(item) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter(item);
    else this.#items.push(item);
  }

  /** The next item; one that came before it was asked for counts. */
  next(ms = 5000) {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    let waiter;
    const item = new Promise((resolve) => this.#waiting.push((waiter = resolve)));
    return within(ms, `next ${this.name}`, item).catch((error) => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      throw error;
    });
  }
}

/** What `ask` says, asked again until `good` likes it: for state that can only be polled. */
export async function until(what, ask, good, ms = 5000) {
  const end = performance.now() + ms;
  for (;;) {
    const said = await ask();
    if (good(said)) return said;
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms, but ${JSON.stringify(said)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
