// What runs in a page too: without Node's types.
import { FrameDecoder } from '@ws/codec';
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
