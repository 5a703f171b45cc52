/** What tells about the network and the page: `window` in browsers, `self` in workers, anything like it in tests. */
export interface Network extends EventTarget {
  navigator?: { onLine?: boolean };
  document?: { visibilityState?: string };
}

/** Listens to the page and the network; what it returns stops that. */
export const watch = (
  network: Network,
  /** The network has gone. */
  offline: () => void,
  /** The network is back. */
  online: () => void,
  /** Somebody looks at the page again, perhaps after a long sleep. */
  wake: () => void,
  /** The page goes, and will not come back. */
  leave: () => void,
): (() => void) => {
  const handlers: Record<string, (event: any) => void> = {
    offline,
    online,
    pageshow: wake,
    visibilitychange: () => network.document?.visibilityState == 'hidden' || wake(),
    pagehide: (event) => event.persisted || leave(),
  };
  // It has a `signal`, which is all that the options of a listener need.
  const abort = new AbortController();
  for (const name in handlers) network.addEventListener(name, handlers[name], abort);
  return () => abort.abort();
};
