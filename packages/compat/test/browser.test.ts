import { expect, test } from 'vitest';

/** The exports of ws for Node. */
const NAMES = [
  'PerMessageDeflate',
  'Receiver',
  'Sender',
  'WebSocket',
  'WebSocketServer',
  'createWebSocketStream',
  'default',
  'extension',
  'subprotocol',
];

test('the file for browsers has all exports, so that a bundler finds them', async () => {
  const file = new URL('../entry/browser.js', import.meta.url).href;
  expect(Object.keys((await import(file)) as object).toSorted()).toEqual(NAMES);
});
