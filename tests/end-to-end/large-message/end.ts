import { BinaryMessage, type Conn, Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { Checksum, large } from './message.ts';

// One end of suite.ts, in its own process: `end.ts read|write <lengths> <writeBufferSize> [url]`. Without a URL it
// serves and reports its address. Then it sends a report for each message.

/** A report of an end. */
export interface Report {
  readonly url?: string;
  /** Checksum of the received message. */
  readonly received?: Pick<Checksum, 'length' | 'sum' | 'wrong'>;
  /** Largest growth of this process in bytes since the start of the message. */
  readonly grown?: number;
}

const [way, lengths, size, url] = process.argv.slice(2);
const settings = { readLimit: false, writeBufferSize: Number(size) } as const;

class Growth {
  bytes = 0;
  readonly #before = process.memoryUsage.rss();

  measure(): void {
    this.bytes = Math.max(this.bytes, process.memoryUsage.rss() - this.#before);
  }
}

async function read(conn: Conn): Promise<Report> {
  const reader = await conn.nextReader();
  const growth = new Growth();
  const received = new Checksum();
  const into = new Uint8Array(256 * 1024);
  let measured = 0;
  for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
    received.add(into, n);
    if (received.length - measured < 1 << 20) continue;
    measured = received.length;
    growth.measure();
  }
  return { received, grown: growth.bytes };
}

async function write(conn: Conn, length: number): Promise<Report> {
  const growth = new Growth();
  const writer = await conn.nextWriter(BinaryMessage);
  for (const piece of large(length)) {
    await writer.write(piece);
    growth.measure();
  }
  await writer.close();
  return { grown: growth.bytes };
}

async function act(conn: Conn): Promise<void> {
  if (way === 'write') void conn.discardReads();
  for (const length of lengths!.split(',').map(Number)) {
    process.send!(await (way === 'write' ? write(conn, length) : read(conn)));
  }
}

process.once('disconnect', () => process.exit());
if (url !== '') {
  const conn = await new Dialer(settings).dial(url!);
  await act(conn);
} else {
  const server = await serve({ ...settings, host: '127.0.0.1' }, act);
  process.send!({ url: server.url });
}
