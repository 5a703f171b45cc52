// What a server with `--metrics /metrics` has counted.

/** Reads the metrics with the label `transport`, and returns what says how much of one was counted. */
export async function counts(server, transport) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split('\n').map((line) => line.split(' '));
  return (name) => Number(lines.find(([found]) => found === `${name}{transport="${transport}"}`)?.[1]);
}
