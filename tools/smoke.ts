import type { Command } from './run.ts';

/** Commands that test the built packages on one runtime. `runtime` is the command that starts it. */
function smoke(...runtime: [string, ...string[]]): Command[] {
  return [
    [...runtime, 'tools/runtime-smoke.mjs'],
    [...runtime, 'tools/compression-smoke.mjs'],
  ];
}

/** Commands that test the built packages on these versions of Node, on Bun and on Deno. npx downloads the runtimes. */
export function smokes(nodes: readonly string[]): Command[] {
  return [
    ...nodes.flatMap((version) => smoke('npx', '-y', '-p', `node@${version}`, 'node')),
    ...smoke('npx', '-y', '-p', 'bun@1.4.4', 'bun'),
    ...smoke('npx', '-y', '-p', 'deno@2.9.6', 'deno', 'run', '-A', '--node-modules-dir=manual'),
  ];
}
