// The sheet: a textarea, and below it a copy that cannot be read, in which the cursors and selections of others are.
import { START, difference } from './text.js';

const hue = (by) => (by * 137) % 360;

/** An element in the colour of somebody. */
function coloured(tag, { by }, text = '') {
  const element = document.createElement(tag);
  element.style.setProperty('--hue', hue(by));
  element.append(text);
  return element;
}

export class Sheet {
  /** The letters that are shown. They may be older than those of the document. */
  #letters = [];
  #composing = false;
  #area = document.getElementById('text');
  #copy = document.getElementById('marks');
  #me;
  #document;

  constructor(me) {
    this.#me = me;
    this.#area.addEventListener('input', () => this.#write());
    // What is being composed (Chinese, an accent) is not to be touched.
    this.#area.addEventListener('compositionstart', () => (this.#composing = true));
    this.#area.addEventListener('compositionend', () => {
      this.#composing = false;
      this.show();
    });
  }

  /** Shows another document. */
  turn(to) {
    this.#document = to;
    this.#letters = [];
    this.#area.value = '';
    this.show();
  }

  #write() {
    const change = difference(this.#letters, this.#area.value, this.#area.selectionEnd);
    if (!change) return;
    this.#letters.splice(change.place, change.count, ...this.#document.write(change.edit));
    this.show();
  }

  /** The letter behind which this place of the textarea is. */
  #at(index) {
    const letters = [...this.#area.value.slice(0, index)].length;
    return letters ? this.#letters[letters - 1].id : START;
  }

  /** Notes where the selection is. */
  select() {
    this.#me.from = this.#at(this.#area.selectionStart);
    this.#me.to = this.#at(this.#area.selectionEnd);
  }

  /** Shows the text as it is now, with the selection where it was between the letters. */
  show() {
    if (this.#composing) return;
    this.select();
    const [me, area] = [this.#me, this.#area];
    const { known, text, people, pending } = this.#document;
    const others = [...people.values()].filter(({ by }) => by !== me.by);
    const { value, letters, place } = text.read([me, ...others].flatMap(({ from, to }) => [from, to]));
    this.#letters = letters;
    if (area.value !== value) {
      const { selectionDirection } = area;
      area.value = value;
      area.setSelectionRange(place(me.from), place(me.to), selectionDirection);
    }
    area.disabled = !known;
    this.#mark(value, others.map((person) => ({ ...person, from: place(person.from), to: place(person.to) })));
    this.#tell(others, letters.length, known ? pending.length : undefined);
  }

  #mark(value, others) {
    const cuts = [...new Set([0, value.length, ...others.flatMap(({ from, to }) => [from, to])])].sort((a, b) => a - b);
    const parts = cuts.flatMap((start, n) => {
      const cursors = others.filter(({ to }) => to === start).map((person) => {
        const cursor = coloured('i', person);
        cursor.dataset.name = person.name;
        return cursor;
      });
      const piece = value.slice(start, cuts[n + 1]);
      const selecting = others.find(({ from, to }) => from <= start && start < to);
      return [...cursors, selecting ? coloured('mark', selecting, piece) : piece];
    });
    this.#copy.replaceChildren(...parts, '\n');
    // A name that would not fit stands to the left of its cursor.
    const { right } = this.#copy.getBoundingClientRect();
    for (const cursor of this.#copy.querySelectorAll('i')) {
      cursor.classList.toggle('right', cursor.getBoundingClientRect().left > right - 110);
    }
  }

  #tell(others, letters, pending) {
    const chips = [this.#me, ...others].map((person) => coloured('li', person, person === this.#me ? `${person.name} (you)` : person.name));
    chips[0].className = 'me';
    document.getElementById('people').replaceChildren(...chips);
    document.getElementById('length').textContent = `${letters} letters`;
    const saved = pending ? `${pending} ${pending > 1 ? 'changes' : 'change'} to be saved` : 'All saved';
    document.getElementById('saved').textContent = pending === undefined ? '' : saved;
    document.getElementById('problem').textContent = this.#document.problem;
    document.getElementById('problem').hidden = !this.#document.problem;
  }
}
