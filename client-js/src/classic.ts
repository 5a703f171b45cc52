import { assemble } from './assemble';
import type { Config } from './api';
import type { Connect } from './race';

declare const module: any;
declare const define: any;

/** Makes the constructor and publishes it: as a global, for CommonJS and for AMD. */
export const publish = (connect: Connect, config: Config): void => {
  const page = globalThis as any;
  // Only while the script runs does the page know where it came from.
  config.home = page.document?.currentScript?.src;
  const Primus = assemble(connect, config);
  page[config.global || 'Primus'] = Primus;
  if (typeof module == 'object' && module.exports) module.exports = Primus;
  else if (typeof define == 'function' && define.amd) define(() => Primus);
};
