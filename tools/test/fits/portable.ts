// What runs in a page too: without Node's types.
import { type BrowserConn, type WholeMessageReader } from '@ws/browser';
import { encodeFrame, FrameDecoder } from '@ws/codec';
import { connPair, type Message } from '@ws/conn';

export async function main(): Promise<string> {
  const [client, server] = connPair({ compression: false });
  await client.send('hello');
  const message: Message = await server.readMessage();
  // @ts-expect-error: no such property, so it is not `any`
  void message.nonsense;
  void new FrameDecoder({ role: 'server' });
  return message.text();
}

// `Uint8Array` has been generic since TypeScript 5.7: its default also fits shared memory, which
// none of these takes.
export async function keep(
  message: Message,
  reader: WholeMessageReader,
  conn: BrowserConn,
): Promise<void> {
  await conn.send(message.data);
  await conn.send(new Uint8Array(new SharedArrayBuffer(8)));
  for (const bytes of [message.data, await reader.bytes(), encodeFrame(2, message.data)]) {
    void new Blob([bytes]);
    void new Response(bytes);
    await crypto.subtle.digest('SHA-256', bytes);
  }
  for await (const piece of reader) void new Blob([piece]);
  void new Response(reader.readable());
}
