// Typed events: what has to compile, and, below, what must not.
import { Primus, type Channel, type ConnectionError, type RefusedError, type Subscription } from '../src/index';
import { Primus as NodePrimus } from '../src/node';
import { msgpack } from '../src/msgpack';

interface ServerEvents {
  tick: { at: number };
  bye: undefined;
  /** A request of the server. */
  confirm: (question: string) => boolean;
}
interface ClientEvents {
  say: string;
  leave: undefined;
  sum: (numbers: number[]) => number;
  now: () => Date;
}

/** Whether two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_yes: Same<A, B>) => {};

const primus = new Primus<ServerEvents, ClientEvents>('http://h', { parser: msgpack, requestTimeout: false });
primus
  .on('tick', ({ at }) => at.toFixed())
  .once('tick', (args) => same<typeof args, { at: number }>(true))
  .on('confirm', (question) => question.length > 0)
  .on('confirm', async (question) => question == '')
  .on('confirm', () => {})
  .on('end', ({ code, reason }) => code.toFixed() + reason.trim())
  .on('missed', (room) => room.trim())
  .on('data', (data, raw) => same<typeof raw, string | ArrayBuffer>(true) ?? data);
primus.on('error', (error: ConnectionError) => error.status);
primus.on('tick', function () {
  this.write(1);
});
const sent: boolean = primus.emit('say', 'hello', { volatile: true, conflate: 'k' });
primus.emit('leave');
primus.emit('leave', undefined, { volatile: true });
const sum = primus.request('sum', [1, 2], { timeout: 5, signal: new AbortController().signal });
same<typeof sum, Promise<number>>(true);
primus.request('now').then((date) => date.getTime());
primus.onAny((name, args) => name + args).onAnyOutgoing((name) => name).offAny();
primus.transform('outgoing', (packet) => packet.event != 'secret');
const subscription: Subscription = primus.subscribe('room', (value, event, room) => [value, event?.trim(), room.trim()], { last: 10 });
subscription.ready.then(({ recovered }) => recovered === false);
subscription.unsubscribe();

const channel = primus.channel<{ joined: string }, { kick: (nick: string) => boolean }>('/admin', { auth: async () => ({ token: 1 }) });
same<typeof channel, Channel<{ joined: string }, { kick: (nick: string) => boolean }>>(true);
channel.on('joined', (nick) => nick.trim()).on('open', () => channel.id?.trim()).on('end', ({ code }) => code);
channel.on('error', (error: RefusedError) => [error.status, error.data]);
channel.request('kick', 'x').then((done) => done === true);
channel.end();

// Without maps anything goes, as ever.
const loose = new Primus('http://h', { plugins: [(one, options, more) => [one.url, options.url, more], [function () { this.write(1); }, { a: 1 }]] });
loose.on('mine', (a, b) => [a, b]).on('end', ({ code }) => code.toFixed());
loose.emit('mine');
loose.emit('mine', { a: 1 }, { volatile: true });
loose.request('x', 1).then((value) => value.anything);
loose.channel('c').on('x', (args) => args.y).emit('z', 1);
loose.emits('open')(1, 2);
const plain: Primus = loose;
const node = new NodePrimus<ServerEvents, ClientEvents>();
node.stream().end();
node.on('tick', ({ at }) => at);
class Mine extends Primus<ServerEvents, ClientEvents> {
  twice = () => this.request('sum', [1, 1]);
}
new Mine('http://h').twice().then((value) => value.toFixed());

// @ts-expect-error no such event of the server
primus.on('tock', () => {});
// @ts-expect-error a number is no event
loose.on(1, () => {});
// @ts-expect-error `at` is a number
primus.on('tick', ({ at }) => at.trim());
// @ts-expect-error the answer is a boolean
primus.on('confirm', () => 'yes');
// @ts-expect-error an event of the client is none of the server
primus.on('say', () => {});
// @ts-expect-error no such event of the client
primus.emit('shout', 'x');
// @ts-expect-error it takes a text
primus.emit('say', 1);
// @ts-expect-error and not without
primus.emit('say');
// @ts-expect-error an event is no request
primus.request('say', 'x');
// @ts-expect-error numbers
primus.request('sum', ['1']);
// @ts-expect-error the answer is a number
primus.request('sum', [1]).then((value) => value.trim());
// @ts-expect-error no such way to request
primus.request('sum', [1], { retries: 1 });
// @ts-expect-error the client's own events keep their types
primus.on('end', (reason) => reason.trim());
// @ts-expect-error the listener's first
primus.subscribe('room', 1);
// @ts-expect-error a channel has no streams
channel.readable;
// @ts-expect-error a parser has two functions
new Primus('http://h', { parser: { encoder: () => '' } });

export { sent, plain };
