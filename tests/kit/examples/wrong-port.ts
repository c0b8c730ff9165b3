import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { listening } from '../listening.ts';
import { rejectedExample } from './start.ts';

/** A line of a stack trace. No example prints one for a wrong setting. */
export const STACK: RegExp = /^\s+at .*:\d+:\d+\)?$/m;

/** Each costs a start of each example. `pnpm long examples` tries more. */
const NO_PORTS = process.env['NO_PORTS']?.split(',') ?? ['http'];

/**
 * Tests that an example exits and prints the reason, without a stack trace, when its port is in use or
 * no port at all.
 *
 * @param env - Environment variables besides PORT. Default: none.
 */
export function rejectsWrongPort(
  name: string,
  env?: () => Promise<Readonly<Record<string, string>>>,
): void {
  it('exits with the reason for a used port', async () => {
    const other = createServer();
    const port = await listening(other);
    try {
      const refused = await rejectedExample(name, { ...(await env?.()), PORT: `${port}` });
      expect(refused).toMatch(new RegExp(`EADDRINUSE.*${port}`));
      expect(refused).not.toMatch(STACK);
    } finally {
      other.close();
    }
  });

  it.each(NO_PORTS)('exits with the reason for the port %s', async (port) => {
    const refused = await rejectedExample(name, { ...(await env?.()), PORT: port });
    expect(refused).toMatch(/port.*(?:65535|65536)/i);
    expect(refused).not.toMatch(STACK);
  });
}
