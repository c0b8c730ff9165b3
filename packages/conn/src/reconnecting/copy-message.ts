import { TextMessage } from '@ws/codec';
import { copyOf } from '../memory/copy.ts';
import { Message } from '../message.ts';
import { portablePlatform } from '../portable-platform.ts';
import { bytesOf, dataTypeOf, type MessageData, utf8 } from '../writing/payload.ts';

/** @throws TypeError for other data. */
export function copyMessage(data: MessageData): Message {
  // React Native has no TextDecoder.
  if (typeof data === 'string')
    return new Message(TextMessage, utf8(data), { decodeUtf8: () => data });
  return new Message(dataTypeOf(data), copyOf(bytesOf(data, 'send')), portablePlatform);
}
