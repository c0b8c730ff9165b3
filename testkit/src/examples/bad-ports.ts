import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { startExample } from './start.ts';

const SLOW_START = 60_000;

/** A line of a stack trace: what no example prints for a mistake of whoever starts it. */
export const STACK: RegExp = /^\s+at .*:\d+:\d+\)?$/m;

/**
 * The test of every example that serves: a port that is in use, or none at all, ends it with the reason alone.
 *
 * @param env - Besides PORT. Default: nothing.
 */
export function tellsOfBadPorts(
  name: string,
  env?: () => Promise<Readonly<Record<string, string>>>,
): void {
  it(
    'ends with the reason when its port is in use, or none',
    async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      try {
        const { port } = other.address() as AddressInfo;
        for (const [PORT, reason] of [
          [`${port}`, new RegExp(`EADDRINUSE.*${port}`)],
          ['abc', /expected 0 to 65535|port.*65536/i],
        ] as const) {
          const refused = await startExample(name, { ...(await env?.()), PORT }).catch(String);
          expect(refused).toMatch(reason);
          expect(refused).not.toMatch(STACK);
        }
      } finally {
        other.close();
      }
    },
    SLOW_START,
  );
}
