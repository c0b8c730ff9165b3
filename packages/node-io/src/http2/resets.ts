import { constants, type Http2Stream } from 'node:http2';
import process from 'node:process';
import { Http2Code } from './codes.ts';

/** Ends a stream without a transport when its peer resets it: see {@link endAfterReset}. */
export function endAtReset(stream: Http2Stream): void {
  stream.on('aborted', onAborted);
  stream.on('end', onEnd);
}

function onAborted(this: Http2Stream): void {
  if (!hasArrived(this)) endAfterReset(this);
}

/** A reset emits 'end' too. Bytes that have not left then never leave. */
function onEnd(this: Http2Stream): void {
  // Its session forgets it within this turn.
  if (this.closed) setImmediate(destroyUnknown, this);
}

/** Destroys a stream that its session does not know any more. `close` of this side still sends bytes. */
function destroyUnknown(stream: Http2Stream): void {
  if (stream.state.state === constants.NGHTTP2_STREAM_STATE_IDLE) stream.destroy();
}

/**
 * Ends a stream that its peer has reset. Node does it for each code but NO_ERROR, which `close()` of
 * Node sends: there it waits until all bytes are read.
 */
export function endAfterReset(stream: Http2Stream): void {
  if (stream.rstCode !== Http2Code.NO_ERROR) return;
  // After `close` of this side, which emits 'aborted' before it sends the RST_STREAM.
  process.nextTick(destroy, stream);
}

function destroy(stream: Http2Stream): void {
  stream.destroy();
}

/** Whether all bytes and the END_STREAM have arrived, read or not. Node has no public field for it. */
export function hasArrived(stream: Http2Stream): boolean {
  const { _readableState: state } = stream as unknown as Record<
    string,
    { readonly ended: boolean }
  >;
  return state!.ended;
}
