import { simulateReadableStream } from 'ai';
import { MockLanguageModelV3 } from 'ai/test';

const words = 'The model answers word by word. '.repeat(9).split(/(?<= )/);
const none = { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0, text: 0, reasoning: 0 };

/** A model without a network. Put one of the AI SDK in its place. */
export const model = new MockLanguageModelV3({
  doStream: async () => ({
    stream: simulateReadableStream({
      chunkDelayInMs: Number(process.env['WORD_MS'] ?? 200),
      chunks: [
        { type: 'text-start', id: '1' } as const,
        ...words.map((delta) => ({ type: 'text-delta', id: '1', delta }) as const),
        { type: 'text-end', id: '1' } as const,
        {
          type: 'finish',
          finishReason: { unified: 'stop', raw: undefined },
          usage: { inputTokens: none, outputTokens: none },
        } as const,
      ],
    }),
  }),
});
