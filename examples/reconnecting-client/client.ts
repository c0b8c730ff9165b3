// Follows a feed: dials again whenever the connection is lost, and asks for what it has missed.
import process from 'node:process';
import { CloseCode, type Message, reconnecting, WebSocketError } from '@ws/node-client';

const url = process.env['FEED'] ?? 'ws://127.0.0.1:8080/';
if (!/^wss?:/.test(url) || !URL.canParse(url)) {
  console.error(`FEED: expected the URL of a WebSocket, got ${JSON.stringify(url)}`);
  process.exit(1);
}

// Ctrl-C ends the loop below: a connection that is open is closed properly.
const control = new AbortController();
process.on('SIGINT', () => control.abort());
process.on('SIGTERM', () => control.abort());

const connections = reconnecting(url, {
  signal: control.signal,
  minDelay: 100,
  maxDelay: 10_000,
  // The server says with 1000 that the feed has ended, and with 1008 that we are not welcome.
  stopCodes: [1000],
  // A peer that vanishes says nothing: without this we would wait for it forever.
  heartbeat: { interval: 20_000, timeout: 10_000 },
  retry(error, { tries, delay }) {
    console.log(`no connection after ${tries} tries (${String(error)}); again in ${delay} ms`);
  },
});

/** The last item that we have seen. */
let last = 0;
console.log(`following ${url}`);

for await (const conn of connections) {
  console.log('connected');
  try {
    // A new connection knows nothing of the one before.
    await conn.writeJSON({ subscribe: 'news', after: last });
    for await (const message of conn) {
      const item = itemOf(message);
      if (item === undefined) {
        console.log('no item: closing');
        await conn.close(CloseCode.InvalidFramePayloadData, 'expected {"id":…,"text":…}');
        break;
      }
      last = item.id;
      console.log(`${item.id}: ${item.text}`);
    }
    console.log('this connection is done');
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error;
    console.log(`lost: ${error.message}`);
  } finally {
    // The next one is dialed when this one has ended. It has, as a rule.
    await conn.close();
  }
}
console.log('over');

interface Item {
  readonly id: number;
  readonly text: string;
}

/** Whatever the server sends is a stranger's: a mistake of its own must not end this program. */
function itemOf(message: Message): Item | undefined {
  try {
    const { id, text } = message.json() as Partial<Item>;
    if (Number.isSafeInteger(id) && typeof text === 'string') return { id: id!, text };
  } catch {
    // No JSON, or null.
  }
  return undefined;
}
