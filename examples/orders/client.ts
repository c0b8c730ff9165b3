// Sends its arguments as orders, and prints those that the server has taken:
// npm run client -- ws://127.0.0.1:8080 tea coffee
import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { ReconnectingConn } from '@ws/node-client';

const [url = '', ...texts] = process.argv.slice(2);
try {
  const live = new ReconnectingConn(url, {
    resend: {
      id: (data) => (JSON.parse(data as string) as { id: string }).id,
      acknowledged: (message) => (message.json() as { taken?: string }).taken,
      hide: true,
    },
  });
  for (const text of texts) {
    await live.send(JSON.stringify({ id: randomUUID(), text }));
    console.log(`taken: ${text}`);
  }
  await live.close();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
