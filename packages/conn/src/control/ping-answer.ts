import { type MessageDecoder, PongMessage } from '@ws/codec';
import type { Connection } from '../connection/connection.ts';

/**
 * Answers the ping in the decoder with a pong of the same payload, as soon as is practical (RFC 6455,
 * section 5.5.2). A ping handler of the application answers itself.
 */
export function answerPing({ rare, outbox }: Connection, decoder: MessageDecoder): void {
  if (rare?.controlFrames?.callPingHandler(decoder) === true) return;
  const { bytes, start, end } = decoder;
  void outbox.control(PongMessage, bytes, start, end, true);
}
