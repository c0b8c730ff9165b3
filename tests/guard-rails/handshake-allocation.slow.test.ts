// A handshake that waits for nothing allocates little. Every allocation is counted, so the figure
// does not depend on the load of the machine.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { request } from '../kit/index.ts';

const KIB = 1024;
const PROFILE = fileURLToPath(new URL('handshake-profile.ts', import.meta.url));
const FLAGS = [
  '--conditions=@ws/source',
  '--import',
  'tsx',
  // Optimized code allocates less, and the time of its compilation varies.
  '--no-opt',
  // Otherwise the profiler samples allocations at random.
  '--sampling-heap-profiler-suppress-randomness',
  '--expose-gc',
];

/** Bytes of one handshake by file, largest first. For `objects`, see the program. */
async function profileOf(
  upgradeRequest: string,
  objects: 'all' | 'kept',
): Promise<[file: string, bytes: number][]> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...FLAGS,
    PROFILE,
    upgradeRequest,
    objects,
  ]);
  return JSON.parse(stdout) as [string, number][];
}

/** Timers are left out: more of them run on a busy machine. */
function total(files: readonly [string, number][]): number {
  const counted = files.filter(([file]) => file !== 'conn/src/scheduler/timers.ts');
  return counted.reduce((sum, [, bytes]) => sum + bytes, 0);
}

/** One line for each file, for the message of a failed test. */
function tableOf(files: readonly [string, number][]): string {
  return files.map(([file, bytes]) => `${Math.round(bytes)} ${file}`).join('\n');
}

describe('a handshake', () => {
  // Measured: 5,020 and 5,830 bytes, 330 more with Node 24. The look-up of header fields by name takes 600 of them. The
  // connection, its transport and its pending read are half of it. 520 are the list of symbols by which
  // Node shows, up to version 22, whether a program uses AsyncLocalStorage, 136 the resource in which the
  // listeners of 'upgrade' run. An async function on the way adds 400 bytes or more.
  it.each([
    { says: 'of a plain client', upgradeRequest: request(), bound: 5.3 * KIB },
    {
      says: 'of a browser',
      upgradeRequest: request({
        add: [
          'Origin: http://server.example.com',
          'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
          'Pragma: no-cache',
          'Cache-Control: no-cache',
          'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0',
          'Accept-Encoding: gzip, deflate',
          'Accept-Language: en-US,en;q=0.9',
        ],
      }),
      // The parsed offer of an extension, which a plain client does not send.
      bound: 6.1 * KIB,
    },
  ])('$says allocates at most a few KiB in our files', async ({ upgradeRequest, bound }) => {
    const files = await profileOf(String(upgradeRequest), 'all');
    expect(files.map(([file]) => file)).toContain('conn/src/connection/connection.ts');
    expect(total(files), tableOf(files)).toBeLessThan(bound);
  });

  // V8's old generation grows by what is kept, and its next full collection may be far.
  it('leaves its request to the next collection of the young generation', async () => {
    const files = await profileOf(String(request()), 'kept');
    const ofServer = files.filter(([file]) => file.startsWith('node-server/'));
    // Measured: 64, of the connection's entry in the server. They were 1,570 with a getter of each request.
    expect(total(ofServer), tableOf(files)).toBeLessThan(100);
  });
});
