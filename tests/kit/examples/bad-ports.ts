import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { startExample } from './start.ts';

/** A line of a stack trace. No example prints one for a wrong setting. */
export const STACK: RegExp = /^\s+at .*:\d+:\d+\)?$/m;

/**
 * Tests an example with a used and an invalid port: it exits and prints the reason without a stack trace.
 *
 * @param env - Environment variables besides PORT. Default: none.
 */
export function rejectsBadPorts(
  name: string,
  env?: () => Promise<Readonly<Record<string, string>>>,
): void {
  it('exits with the reason for a used or invalid port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    try {
      const { port } = other.address() as AddressInfo;
      const rejects = async (PORT: string, reason: RegExp): Promise<void> => {
        const refused = await startExample(name, { ...(await env?.()), PORT }).catch(String);
        expect(refused).toMatch(reason);
        expect(refused).not.toMatch(STACK);
      };
      await Promise.all([
        rejects(`${port}`, new RegExp(`EADDRINUSE.*${port}`)),
        rejects('abc', /expected 0 to 65535|port.*65536/i),
      ]);
    } finally {
      other.close();
    }
  });
}
