// The code on the first page of the README.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The first block of each of these languages, its own lines only. */
export async function blocks(...languages) {
  const page = await readFile(join(ROOT, 'README.md'), 'utf8');
  return languages.map((language) => {
    const block = new RegExp(`^\`\`\`${language}\\b[^\\n]*\\n(.*?)^\`\`\`$`, 'ms').exec(page);
    if (!block) throw new Error(`README.md has no block of ${language}`);
    return block[1];
  });
}

/** Lines that say something: neither empty nor only a comment. */
export const lines = (code) => code.split('\n').filter((line) => line.trim() && !/^\s*(\/\/|<!--.*-->\s*$|#(?!\[))/.test(line));
