// The types that Rust wrote, in use: what has to compile, and, below, what must not.
import { Primus } from 'primus-rs';
import type { ClientEvents, Line, Room, ServerEvents } from './events';

const primus = new Primus<ServerEvents, ClientEvents>();

primus.on('room', ({ name, people }) => name.trim() + people.toFixed());
primus.on('joined', ({ room, nick, people }) => [room.trim(), nick.trim(), people.toFixed()]);
primus.on('told', ({ to, nick, text, at }) => [to.trim(), nick.trim(), text.trim(), at.toFixed()]);
primus.on('said', ({ key }) => key?.trim());
primus.on('probe', ({ n, heard }) => n - heard);

const rooms: Promise<Room[]> = primus.request('nick', { nick: 'Ada', key: 'secret' });
const lines: Promise<Line[]> = primus.request('recent', 'lobby');
primus.request('members', { room: 'lobby' }).then(({ nicks, next }) => nicks.join() + (next ?? ''));
primus.request('members', { room: 'lobby', after: 'Ada' });
primus.request('say', { room: 'lobby', text: 'hello' }).then((nothing: null) => nothing);
primus.request('tell', { to: 'Bob', text: 'psst', key: 'k' }, { timeout: false });
primus.emit('typing', 'lobby', { volatile: true });
primus.emit('probe', 1);

// @ts-expect-error the server emits no such event
primus.on('rooms', () => {});
// @ts-expect-error the number of people is a number
primus.on('room', ({ people }) => people.trim());
// @ts-expect-error a line may have no key
primus.on('said', ({ key }) => key.trim());
// @ts-expect-error pages ask for their nick, the server does not
primus.on('nick', () => {});
// @ts-expect-error no such event of the page
primus.emit('shout', 'hello');
// @ts-expect-error a room is named by a text
primus.emit('typing', { room: 'lobby' });
// @ts-expect-error that is no request
primus.request('typing', 'lobby');
// @ts-expect-error where?
primus.request('say', { text: 'hello' });
// @ts-expect-error no such field
primus.request('say', { room: 'lobby', text: 'hello', loud: true });
// @ts-expect-error the answer is a list
primus.request('nick', { nick: 'Ada', key: 'secret' }).then((answer) => answer.name);

export { lines, rooms };
