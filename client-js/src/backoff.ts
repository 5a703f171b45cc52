/** How to come back after a lost connection. Times are in milliseconds. */
export interface ReconnectOptions {
  /** The longest first delay. Default 500. */
  min: number;
  /** The longest delay of all. Default 30000. */
  max: number;
  /** By how much the longest delay grows from one attempt to the next. Default 2. */
  factor: number;
  /** After how many failed attempts to give up. Default `Infinity`. */
  retries: number;
  /** How long one attempt may take. Default 30000. */
  'reconnect timeout': number;
}

/** 23 days: a timer that is to wait for more than 2^31 ms goes off at once. */
export const EVER = 2e9;

/**
 * How long to wait before attempt number `attempt` (from 1): "full jitter", anything between nothing and a bound that doubles.
 * The first delay is jittered too, so that a server that restarts is not met by all of its clients at once.
 */
export const delay = (options: Pick<ReconnectOptions, 'min' | 'max' | 'factor'>, attempt: number): number =>
  Math.round(Math.random() * Math.min(options.max, options.min * options.factor ** (attempt - 1)));

/** Fulfilled after `time` ms. */
export const sleep = (time: number): Promise<void> => new Promise((wake) => setTimeout(wake, time));
