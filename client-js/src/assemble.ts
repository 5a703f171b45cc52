import type { Config, Options, Primus } from './api';
import { create } from './primus';
import type { Connect } from './race';

/** `Primus` as an application meets it: called with `new`, or without. */
export interface PrimusConstructor<P extends Primus = Primus> {
  new (url?: string | URL | Options, options?: Options): P;
  (url?: string | URL | Options, options?: Options): P;
  /** The same as `new Primus(url, options)`. */
  connect(url?: string | URL | Options, options?: Options): P;
  readonly prototype: P;
  readonly OPENING: 1;
  readonly CLOSED: 2;
  readonly OPEN: 3;
  /** The version of the server that served this script, or of the package. */
  readonly version: string;
}

/** Makes the constructor for a way to connect. */
export const assemble = (connect: Connect, config: Config, origin = globalThis.location?.origin): PrimusConstructor => {
  // A class could not be called without `new`. `new.target` is the subclass of who extends it.
  function Assembled(url?: unknown, options?: Options): Primus {
    return create((new.target || Assembled).prototype, connect, config, origin, url, options);
  }
  return Object.assign(Assembled, {
    connect: Assembled,
    OPENING: 1,
    CLOSED: 2,
    OPEN: 3,
    version: config.version,
  }) as unknown as PrimusConstructor;
};
