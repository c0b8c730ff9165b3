import type { RequestHead } from '@ws/codec';
import type { HandshakeError } from '../errors.ts';
import { plainRequestFault, plainRequestRefusal } from '../plain-requests.ts';
import { notAnHttpRequest } from '../responder/client-error.ts';

/**
 * Returns the refusal of a head that is malformed, or that asks for no upgrade. Other faults are
 * found by the rules of an Upgrader.
 */
export function headRefusal(head: RequestHead): HandshakeError | undefined {
  const { fault } = head;
  if (fault?.status === 431) return notAnHttpRequest('HPE_HEADER_OVERFLOW', fault.message);
  if (fault !== undefined) return notAnHttpRequest('HPE_INVALID', fault.message);
  if (head.wantsWebSocket) return undefined;
  return (
    plainRequestFault(head, head.version) ?? plainRequestRefusal(head.has('sec-websocket-key'))
  );
}

/** Returns the refusal of a head that has not arrived. */
export function incompleteRefusal(cause: 'end' | 'timeout'): HandshakeError {
  return cause === 'end'
    ? notAnHttpRequest('HPE_INVALID_EOF_STATE', 'the connection ended within the head')
    : notAnHttpRequest('ERR_HTTP_REQUEST_TIMEOUT', '');
}
