import { contract, stream } from '@ws/rpc';
import type { UIMessage, UIMessageChunk } from 'ai';
import * as z from 'zod';

const Question = z.object({ messages: z.array(z.custom<UIMessage>()) });

export const chat = contract({ server: { ask: stream(Question, z.custom<UIMessageChunk>()) } });
