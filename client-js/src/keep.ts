/**
 * Keeps what every session has to be asked for, a room or a channel. `ask` asks: it is called now, and in each new session, by what this returns; not
 * again while it is under way. When it fails because its session did, and it is still `wanted`, it is called again.
 */
export const keep = (ask: () => Promise<unknown>, wanted: () => unknown, failed: (error: any) => void): (() => Promise<unknown>) => {
  let asking: Promise<unknown> | undefined;
  const renew = (): Promise<unknown> =>
    (asking ||= ask()
      .finally(() => (asking = undefined))
      .catch((error) => (error.name == 'ClosedError' && wanted() ? renew() : failed(error))));
  renew();
  return renew;
};
