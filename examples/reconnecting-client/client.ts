// Follows a feed. Dials again when the connection is lost, and asks for the missed items.
import process from 'node:process';
import { CloseCode, type Message, reconnecting } from '@ws/node-client';

const url = process.env['FEED'] ?? 'ws://127.0.0.1:8080/';
if (!/^wss?:/.test(url) || !URL.canParse(url)) {
  console.error(`FEED: expected the URL of a WebSocket, got ${JSON.stringify(url)}`);
  process.exit(1);
}

// Ctrl-C ends `reconnecting` below and closes an open connection with a close frame.
const control = new AbortController();
process.on('SIGINT', () => control.abort());
process.on('SIGTERM', () => control.abort());

const options = {
  signal: control.signal,
  minDelay: 100,
  maxDelay: 10_000,
  // 1000 means that the feed has ended, 1008 that the server does not accept this client.
  stopCodes: [1000, 1008],
  retry(error: unknown, { tries, delay }: { tries: number; delay: number }) {
    console.log(`no connection after ${tries} tries (${String(error)}); again in ${delay} ms`);
  },
};

/** Id of the last item. */
let last = 0;
console.log(`following ${url}`);

await reconnecting(url, options, async (conn) => {
  console.log('connected');
  try {
    // A new connection has no subscription.
    await conn.writeJSON({ subscribe: 'news', after: last });
    for await (const message of conn) {
      const item = itemOf(message);
      if (item === undefined) {
        console.log('not an item: closing');
        await conn.close(CloseCode.InvalidFramePayloadData, 'expected {"id":…,"text":…}');
        break;
      }
      last = item.id;
      console.log(`${item.id}: ${item.text}`);
    }
    console.log('this connection is done');
  } catch (error) {
    // `reconnecting` dials again after the errors of a connection. Any other one ends it.
    console.log(`lost: ${(error as Error).message}`);
    throw error;
  }
});
console.log('over');

interface Item {
  readonly id: number;
  readonly text: string;
}

/** Checks an item of the server: a malformed one does not end this program. */
function itemOf(message: Message): Item | undefined {
  try {
    const { id, text } = message.json() as Partial<Item>;
    if (Number.isSafeInteger(id) && typeof text === 'string') return { id: id!, text };
  } catch {
    // Not JSON, or null.
  }
  return undefined;
}
