import type { Peer } from '@ws/rpc';
import type { ChatTransport, UIMessage } from 'ai';
import type { chat } from './chat.ts';

/** Lets `useChat` ask over a connection. The answer comes at the pace of the page. */
export function transportOf(server: Peer<typeof chat.server>): ChatTransport<UIMessage> {
  return {
    async sendMessages({ messages, abortSignal }) {
      const chunks = server.ask({ messages }, { signal: abortSignal });
      return new ReadableStream(
        {
          async pull(controller) {
            const { done, value } = await chunks.next();
            if (done) controller.close();
            else controller.enqueue(value);
          },
          cancel: () => void chunks.return?.(),
        },
        // Nothing is read ahead.
        { highWaterMark: 0 },
      );
    },
    // An answer ends with its connection. One that survives it is a room with a history.
    reconnectToStream: async () => null,
  };
}
