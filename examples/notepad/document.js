// A document as this window has it: what the server has, and upon that the edits of this window that are not known to have been made.
import { Text } from './text.js';

export class Document {
  text = new Text();
  /** The edits that are not known to have been made, and the number of the last one that is on its way. */
  pending = [];
  #sent = 0;
  #edits = 0;
  #letters = 0;
  /** Who is here, by their numbers. */
  people = new Map();
  /** Edits that came before the text; none, once that is there. */
  #early = [];
  /** Whether the text has been here. */
  known = false;
  problem = '';
  /** Whether the cursor is to be told as soon as it can be. */
  #pointing = false;
  #me;
  #channel;
  #changed;

  /** `changed` is called when there is something new to see. */
  constructor(channel, me, changed) {
    this.#me = me;
    this.#channel = channel;
    this.#changed = () => changed(this);
    channel.on('open', () => this.#enter());
    channel.on('edit', (edited) => (this.#early ? this.#early.push(edited) : this.#hear(edited)));
    channel.on('cursor', (person) => this.#meet(person));
    channel.on('left', (by) => this.people.delete(by) && this.#changed());
    channel.on('error', (error) => this.#fail(error));
  }

  /** There is a session, and not always the first: asks for what is there, and makes upon that what has not been made. */
  async #enter() {
    const early = (this.#early = []);
    try {
      const { version, runs, people } = await this.#channel.request('enter', this.#me, { timeout: false });
      if (early !== this.#early) return;
      this.#early = undefined;
      this.known = true;
      this.text = new Text(runs);
      for (const edit of this.pending) this.text.apply(edit, true);
      this.people = new Map(people.map((person) => [person.by, person]));
      for (const edited of early) if (edited.version > version) this.#hear(edited);
      this.#sent = 0;
      this.send();
      this.#changed();
      this.point();
    } catch (error) {
      // The session is gone. In the next one it is asked again.
      if (error.name !== 'ClosedError') this.#fail(error);
    }
  }

  #fail({ message }) {
    this.problem = `This page cannot be had: ${message}`;
    this.#changed();
  }

  /** The server has made these edits, in this order. */
  #hear({ edits }) {
    for (const edit of edits) {
      if (edit.by === this.#me.by && this.pending[0]?.n === edit.n) this.text.settle(this.pending.shift(), edit);
      this.text.apply(edit);
      const person = this.people.get(edit.by);
      if (person && edit.text) person.from = person.to = [edit.by, edit.first + [...edit.text].length - 1];
    }
    this.send();
    this.#changed();
    if (this.#pointing) this.point();
  }

  #meet(person) {
    this.people.set(person.by, person);
    this.#changed();
  }

  /** Makes an edit of this window. Returns the letters that it inserts. */
  write({ text, after, gone }) {
    const edit = { by: this.#me.by, n: ++this.#edits, text, after, first: this.#letters + 1, gone };
    this.#letters += [...text].length;
    this.text.apply(edit, true);
    this.pending.push(edit);
    this.send();
    return this.text.inserted(edit);
  }

  /** Sends what waits, once nothing is on its way: so nothing overtakes what another session has to be told again. */
  send() {
    if (this.#early || !this.pending.length || this.pending[0].n <= this.#sent) return;
    if (this.#channel.emit('edit', this.pending)) this.#sent = this.pending.at(-1).n;
  }

  /** Tells where the cursor is. Only now matters, and others have to know the letters that it is between. */
  point() {
    this.#pointing = Boolean(this.#early || this.pending.length);
    if (this.#pointing) return; // later, then
    this.#channel.emit('cursor', this.#me, { volatile: true, conflate: 'cursor' });
  }
}
