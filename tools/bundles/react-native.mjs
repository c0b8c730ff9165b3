// The program of `tools/check/bundles.ts` for React Native: `url` is an echo, `ended` gets the result.
import { dial, ReconnectingConn } from '@ws/browser';

async function main() {
  const conn = await dial(globalThis.url, { highWaterMark: 1 });
  if (conn.subprotocol !== '' || conn.extensions !== '') throw new Error('not empty');
  for (const text of ['hello', 'grüße, '.repeat(100)]) {
    await conn.send(text);
    const message = await conn.readMessage();
    if (message.text() !== text) throw new Error(`not ${text}`);
  }
  await conn.send(Uint8Array.of(1, 2, 255));
  const { data } = await conn.readMessage();
  if (data.join() !== '1,2,255') throw new Error(`not 1,2,255 but ${data.join()}`);
  const info = await conn.close(4000, 'bye');
  if (info.code !== 4000 || !info.wasClean) throw new Error(`closed with ${JSON.stringify(info)}`);

  const live = new ReconnectingConn(globalThis.url, {
    alive: {
      ask: () => 'alive?',
      answer: (message) => message.isText && message.text() === 'alive?',
      after: 5,
    },
    resend: { id: (data) => data, acknowledged: (message) => message.text() },
  });
  const seen = [];
  const reading = live.receive((message) => void seen.push(message.text()));
  await live.send('1');
  await new Promise((resolve) => setTimeout(resolve, 50));
  await live.reconnect();
  await live.send('2');
  await live.close();
  await reading;
  if (seen.join() !== '1,2') throw new Error(`read ${seen.join()}`);
}

main().then(
  () => globalThis.ended(),
  (error) => globalThis.ended(error),
);
