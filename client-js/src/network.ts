/** What tells about the network and the page: `window` in browsers, `self` in workers, anything like it in tests. */
export interface Network extends EventTarget {
  navigator?: { onLine?: boolean };
  document?: { visibilityState?: string };
}

/** Listens to the events of the page and the network; what it returns can stop that. */
export const watch = (network: Network, handlers: Record<string, (event: any) => void>): AbortController => {
  // It has a `signal`, which is all that the options of a listener need.
  const abort = new AbortController();
  for (const name in handlers) network.addEventListener(name, handlers[name], abort);
  return abort;
};
