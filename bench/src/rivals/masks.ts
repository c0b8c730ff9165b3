import http from 'node:http';
import { createRequire } from 'node:module';

/**
 * What `ws` masks and unmasks with in this process: functions of Node, bufferutil, or plain JS. It
 * chooses in this order, in its `lib/buffer-util.js`.
 */
export function maskOfWs(): string {
  if ('websocketMask' in http) return 'Node';
  if (process.env['WS_NO_BUFFER_UTIL']) return 'JS';
  return hasBufferutil() ? 'bufferutil' : 'JS';
}

/** Whether `ws` can mask by native code on this machine. */
export function masksNatively(): boolean {
  return 'websocketMask' in http || hasBufferutil();
}

function hasBufferutil(): boolean {
  try {
    const { mask } = createRequire(import.meta.url)('bufferutil') as { mask: () => void };
    // Without a build for this machine bufferutil is JS too.
    return mask.toString().includes('[native code]');
  } catch {
    return false;
  }
}
