/**
 * Keeps what every session has to be asked for, a room or a channel. `ask` asks, and calls `done` as soon as the answer has come. It is called now,
 * and in each new session, by what this returns. When it fails because its session did, and it is still `wanted`, it is called again.
 */
export const keep = (ask: (done: () => void) => Promise<unknown>, wanted: () => unknown, failed: (error: any) => void): (() => Promise<unknown>) => {
  let asking: Promise<unknown> | undefined;
  const done = () => {
    asking = undefined;
  };
  const renew = () =>
    (asking ||= ask(done).catch((error) => {
      done();
      if (error.name == 'ClosedError' && wanted()) renew();
      else failed(error);
    }));
  renew();
  return renew;
};
