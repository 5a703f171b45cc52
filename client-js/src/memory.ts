/**
 * Which transport worked: for this tab, as far as the browser lets us store it, else for this page.
 *
 * It is believed for ten minutes: networks change, and nobody should be stuck on polling for ever.
 */
const LIFE = 600000;

let memory: { primus?: string } = {};

/** The transport that worked lately. */
export const recall = (): string | false => {
  try {
    memory = sessionStorage as any;
  } catch {}
  const [name, until] = (memory.primus || '').split(' ');
  return +until > Date.now() && name;
};

/** `name` has worked. */
export const remember = (name: string): void => {
  try {
    memory.primus = name + ' ' + (Date.now() + LIFE);
  } catch {}
};
