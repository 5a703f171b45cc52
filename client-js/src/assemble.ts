import type { Config, Options, Primus } from './api';
import { create } from './primus';
import type { Connect } from './race';

/**
 * `Primus` as an application meets it: called with `new`, or without. `More` is what a build adds to it. The type parameters say which events
 * there are: `new Primus<ServerEvents, ClientEvents>(url)`.
 */
export interface PrimusConstructor<More = unknown> {
  new <ServerEvents = any, ClientEvents = any>(url?: string | URL | Options, options?: Options): Primus<ServerEvents, ClientEvents> & More;
  <ServerEvents = any, ClientEvents = any>(url?: string | URL | Options, options?: Options): Primus<ServerEvents, ClientEvents> & More;
  /** The same as `new Primus(url, options)`. */
  connect<ServerEvents = any, ClientEvents = any>(url?: string | URL | Options, options?: Options): Primus<ServerEvents, ClientEvents> & More;
  readonly prototype: Primus & More;
  readonly OPENING: 1;
  readonly CLOSED: 2;
  readonly OPEN: 3;
  /** The version of the server that served this script, or of the package. */
  readonly version: string;
}

/** Makes the constructor for a way to connect. */
export const assemble = (connect: Connect, config: Config): PrimusConstructor => {
  // A class could not be called without `new`. `new.target` is the subclass of who extends it.
  function Assembled(url?: unknown, options?: Options): Primus {
    return create((new.target || Assembled).prototype, connect, config, url, options);
  }
  return Object.assign(Assembled, {
    connect: Assembled,
    OPENING: 1,
    CLOSED: 2,
    OPEN: 3,
    version: config.version,
  }) as unknown as PrimusConstructor;
};
