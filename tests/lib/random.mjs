// Chance that can be repeated: the same seed gives the same numbers.

/** The seed of this run: that of `XTASK_SEED`, else another one each time. */
export const seed = Number(process.env.XTASK_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** A source of chance. */
export class Random {
  #state;

  constructor(from) {
    this.#state = from >>> 0;
  }

  /** From 0 to below 1 (the generator is mulberry32). */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low, high) {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  /** One of these. */
  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  /** True in so many of a hundred cases. */
  chance(percent) {
    return this.fraction() * 100 < percent;
  }

  /** Another source that depends on this one only in how it begins. */
  fork() {
    return new Random(this.between(0, 2 ** 32 - 1));
  }
}
