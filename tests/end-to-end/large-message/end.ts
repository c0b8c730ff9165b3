import { BinaryMessage, type Conn, Dialer, type MessageReader } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { large, type Tally, Tallying } from './message.ts';

// One end of gibibyte.test.ts, a process of its own: `end.ts read|write <lengths> <writeBufferSize> [url]`. Without a
// URL it serves and says where. Then it tells of every message how it went.

/** What an end says. */
export interface Told {
  readonly url?: string;
  readonly tally?: Tally;
  /** By how many bytes this process was larger, at most, than when the message began. */
  readonly grown?: number;
}

const [way, lengths, size, url] = process.argv.slice(2);
const settings = { readLimit: false, writeBufferSize: Number(size) } as const;

class Growth {
  bytes = 0;
  readonly #before = process.memoryUsage.rss();

  look(): void {
    this.bytes = Math.max(this.bytes, process.memoryUsage.rss() - this.#before);
  }
}

async function read(reader: MessageReader, growth: Growth): Promise<Tally> {
  const tally = new Tallying();
  const into = new Uint8Array(256 * 1024);
  let looked = 0;
  for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
    tally.add(into, n);
    if (tally.length - looked < 1 << 20) continue;
    looked = tally.length;
    growth.look();
  }
  return tally;
}

async function write(conn: Conn, growth: Growth, length: number): Promise<void> {
  const writer = await conn.nextWriter(BinaryMessage);
  for (const piece of large(length)) {
    await writer.write(piece);
    growth.look();
  }
  await writer.close();
}

async function act(conn: Conn): Promise<void> {
  if (way === 'write') void conn.discardReads();
  for (const length of lengths!.split(',').map(Number)) {
    if (way === 'write') {
      const growth = new Growth();
      await write(conn, growth, length);
      tell({ grown: growth.bytes });
    } else {
      const reader = await conn.nextReader();
      const growth = new Growth();
      const tally = await read(reader, growth);
      tell({ tally, grown: growth.bytes });
    }
  }
}

function tell(told: Told): void {
  process.send!(told);
}

process.once('disconnect', () => process.exit());
if (url !== '') {
  const { conn } = await new Dialer(settings).dial(url!);
  await act(conn);
} else {
  const server = await serve({ ...settings, host: '127.0.0.1' }, act);
  tell({ url: server.url });
}
