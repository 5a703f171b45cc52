// Written by `cargo xtask types`. Change the Rust types instead.

/**
 * Which members of a room: those behind this one, or the first.
 */
export type Behind = { room: string, after?: string, };

/**
 * What pages emit and ask for.
 */
export type ClientEvents = { 
/**
 * Takes a nick, or is refused with 409; answers with the rooms that there are.
 */
nick: (args: Introduction) => Array<Room>, members: (args: Behind) => Members, 
/**
 * The last lines of this room.
 */
recent: (args: string) => Array<Line>, say: (args: Say) => null, tell: (args: Tell) => null, 
/**
 * In this room.
 */
typing: string, 
/**
 * A message of the connection lab: its number.
 */
probe: number, };

/**
 * Who somebody wants to be.
 */
export type Introduction = { nick: string, 
/**
 * A secret: who has it, too, is the same person in another window, or back.
 */
key: string, };

/**
 * Something that was said in a room.
 */
export type Line = { nick: string, text: string, key: string | null, 
/**
 * Milliseconds since 1970. No two lines have the same.
 */
at: number, };

/**
 * A page of a room's members, by their nicks, and how many there are in all.
 */
export type Members = { nicks: Array<string>, people: number, 
/**
 * Ask for what is behind this, if there is more.
 */
next: string | null, };

/**
 * Somebody came to a room, or left it.
 */
export type Presence = { room: string, nick: string, people: number, };

/**
 * An answer of the connection lab: the number, and the how manieth it is in its session.
 */
export type Probe = { n: number, heard: number, };

export type Room = { name: string, people: number, };

export type Say = { room: string, text: string, 
/**
 * The page's own name for the line.
 */
key?: string, 
/**
 * Whether it may have been said before, in a session that is gone.
 */
again?: boolean, };

/**
 * What the server emits.
 */
export type ServerEvents = { 
/**
 * A room is new, or has another number of people.
 */
room: Room, joined: Presence, left: Presence, typing: Typist, 
/**
 * To those who subscribed to a room.
 */
said: Line, 
/**
 * To one person, and to whoever said it.
 */
told: Whisper, probe: Probe, };

export type Tell = { to: string, text: string, key?: string, };

export type Typist = { room: string, nick: string, };

/**
 * Something that was said in private.
 */
export type Whisper = { to: string, nick: string, text: string, key: string | null, 
/**
 * Milliseconds since 1970. No two lines have the same.
 */
at: number, };
