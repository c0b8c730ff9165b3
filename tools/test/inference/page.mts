// Compiled, not run, with the types of the DOM, by each supported version of TypeScript.
import { type BrowserConn, dial, fromWebSocket, type WebSocketConstructor } from '@ws/browser';
import type { Conn, ConnLike } from '@ws/conn';
import { ReconnectingConn, reconnecting } from '@ws/reconnect';

export const ofPage: WebSocketConstructor = WebSocket;
const conn = fromWebSocket(new WebSocket('wss://example.org/feed'));
declare const onServer: Conn<{ name: string }>;
export const both: ConnLike[] = [conn, onServer];
await dial('/feed', { WebSocket, subprotocols: 'v1' });
// @ts-expect-error: no such option in a page
await dial('/feed', { headers: {} });

const live = new ReconnectingConn(({ signal }) => dial('/feed', { signal }));
live.on('open', (opened: BrowserConn) => opened.toStreams());
for await (const each of reconnecting(({ signal }) => dial('/feed', { signal }))) {
  const opened: BrowserConn = each;
  await opened.close();
}
const { readable, writable } = conn.toStreams();
await readable.pipeTo(writable);
