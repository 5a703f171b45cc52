// What a test opened is closed when it ends, last opened first: the page before its proxy before the server.

const stacks = new WeakMap();

/** Runs `close` when the test `t` is over. An error in it fails the test, the others run all the same. */
export function defer(t, close) {
  let stack = stacks.get(t);
  if (!stack) {
    stacks.set(t, (stack = []));
    t.after(() => unwind(stack));
  }
  stack.push(close);
}

async function unwind(stack) {
  const errors = [];
  while (stack.length) {
    try {
      await stack.pop()();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length) throw new AggregateError(errors, errors.map((error) => error.message).join('\n'));
}
