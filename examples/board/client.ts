// What the page imports. The server shares the contract.
import { contract, method } from '@ws/rpc';
import * as v from 'valibot';

export { ReconnectingConn } from '@ws/browser';
export { roomsOf } from '@ws/rpc/rooms';

const id = v.pipe(v.string(), v.regex(/^[\w-]{1,36}$/));
const text = v.pipe(v.string(), v.maxLength(1_000));
export const notes = contract({
  server: { set: method(v.strictObject({ id, text }), v.null()), remove: method(id, v.null()) },
});
