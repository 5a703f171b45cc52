// Bad weather over hostile proxies: what happens is chosen by chance from a seed, for as long as it is to last.
import { setTimeout as sleep } from 'node:timers/promises';

/** How often each happens, of a hundred; what is left is `stall`. */
const FAULTS = [
  ['reset', 20],
  ['finish', 20],
  ['truncate', 20],
  ['ambush', 20],
];

/** Times in ms, from and to. */
const BETWEEN_FAULTS = [1000, 6000];
const STALL = [300, 2500];
const REFUSED = [500, 3000];
const QUIET = [3000, 14000];

/** The weather over all proxies of a test. */
export class Storm {
  #random;
  #end = 0;
  /** What has happened, and what of it cut a connection that was there. */
  counts = { reset: 0, finish: 0, truncate: 0, ambush: 0, stall: 0, refuse: 0 };
  cuts = 0;

  constructor(random) {
    this.#random = random;
  }

  /**
   * Lets it blow for `ms` over these: `{ proxy, transports }`. A client that has several transports is refused the better ones for a while, and
   * then left in peace for long enough to find its way back to them.
   */
  async blow(ms, clients) {
    this.#end = performance.now() + ms;
    await Promise.all(
      clients.map(async ({ proxy, transports }) => {
        const random = this.#random.fork();
        await this.#wait(random.between(0, BETWEEN_FAULTS[0]));
        // Nobody gets away.
        this.#cut(proxy, 'reset');
        while (this.#blows()) await (transports[1] ? this.#drive(proxy, transports, random) : this.#beat(proxy, random));
        proxy.refused = [];
      }),
    );
  }

  #blows() {
    return performance.now() < this.#end;
  }

  #wait(ms) {
    return sleep(Math.max(0, Math.min(ms, this.#end - performance.now())));
  }

  async #beat(proxy, random) {
    await this.#fault(proxy, random);
    await this.#wait(random.between(...BETWEEN_FAULTS));
  }

  /** Drives a client to its other transports, and lets it come back. */
  async #drive(proxy, transports, random) {
    proxy.refused = transports.slice(0, random.between(1, transports.length - 1));
    this.counts.refuse++;
    this.#cut(proxy, 'reset');
    await this.#wait(random.between(...REFUSED));
    await this.#fault(proxy, random);
    proxy.refused = [];
    await this.#wait(random.between(...QUIET));
    if (random.chance(50)) await this.#beat(proxy, random);
  }

  async #fault(proxy, random) {
    if (!this.#blows()) return;
    let dice = random.between(0, 99);
    const [fault] = FAULTS.find(([, percent]) => (dice -= percent) < 0) ?? ['stall'];
    if (fault === 'stall') await this.#stall(proxy, random);
    else if (fault === 'truncate' || fault === 'ambush') this.#truncate(proxy, fault, random);
    else this.#cut(proxy, fault);
  }

  #count(how) {
    this.counts[how]++;
    this.cuts++;
  }

  #cut(proxy, how) {
    if (proxy[how]()) this.#count(how);
  }

  #truncate(proxy, how, random) {
    const told = () => this.#count(how);
    if (proxy[how](random.between(0, 1), random.fraction(), { skip: random.between(0, 2), told })) this.#count('reset');
  }

  /** Half the time the connections go on as if nothing had been, with all that was sent meanwhile; else they break. */
  async #stall(proxy, random) {
    const goOn = proxy.stall(random.pick([[0], [1], [0, 1]]));
    this.counts.stall++;
    await this.#wait(random.between(...STALL));
    if (random.chance(50)) this.#cut(proxy, 'reset');
    else goOn();
  }
}
