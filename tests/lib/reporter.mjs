// A reporter for node's test runner that runs beside the one for people: it appends a line a test to the
// file named by XTASK_LOG, as `verdict <tab> file::group::test`, which cargo xtask counts.
import { appendFileSync } from 'node:fs';
import { basename } from 'node:path';

const oneLine = (text) => String(text).replace(/\s+/g, ' ').trim();

/** The verdict of an event, or nothing for what is not a test. */
function verdict(type, { skip, todo, details }) {
  if (details?.type === 'suite' && type === 'test:pass') return undefined;
  // A skip may carry an empty reason, so its mere presence counts.
  if (skip !== undefined || todo !== undefined) return 'skip';
  return type === 'test:pass' ? 'pass' : 'fail';
}

export default async function* log(source) {
  const file = process.env.XTASK_LOG;
  const groups = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      groups.length = data.nesting;
      groups.push(oneLine(data.name));
    } else if (type === 'test:pass' || type === 'test:fail') {
      const said = verdict(type, data);
      const name = [...groups.slice(0, data.nesting), oneLine(data.name)].join('::');
      if (said && file) appendFileSync(file, `${said}\t${basename(data.file ?? '')}::${name}\n`);
    }
  }
}
