/** Why a connection ended: the argument of the events `close` and `end`. */
export interface CloseReason {
  /** The close code; docs/protocol.md has the table. 1006: the connection broke without a word. */
  code: number;
  /** The same for people. */
  reason: string;
  /** Whether the client comes back by itself. */
  reconnect: boolean;
  /** How long the server asked to stay away, in milliseconds. */
  after?: number;
  /** The HTTP status of a refused connection; without it, it was not refused. */
  status?: number;
  /** The JSON of a refused connection. */
  body?: any;
}

/** Ended by someone who meant it, or refused by a server that was unwilling rather than busy or overtaken (408, 409, 425, 429). */
const forGood = /^(1000|400[03]|44(?!0[089]|25|29)..)$/;

/** The reason for a close code. A code that is not in the table means: come back. */
export const closing = (code: number, reason?: string, more?: Partial<CloseReason>): CloseReason => ({
  ...more,
  code,
  reason: reason || 'lost',
  reconnect: more?.reconnect ?? !forGood.test(code as any),
});

/** The reason for a refused attach: the server's status and its JSON. */
export const refusal = (body: any, after?: number): CloseReason =>
  closing(4000 + body.status, body.error || 'refused', {
    status: body.status,
    body,
    after: after || body.after,
    // As a close code, 4400 is something else.
    reconnect: body.status == 400 ? false : undefined,
  });

/** The reason for an end, from the JSON in which the server says it. */
export const ending = (json: string): CloseReason & { recv?: number } => {
  const end = JSON.parse(json);
  return closing(end.code, end.reason, end);
};

/** The error for a reason, with all that it has. */
export const failure = <R extends { reason: string }>(reason: R): Error & R => Object.assign(new Error(reason.reason), reason);
