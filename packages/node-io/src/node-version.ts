const MAJOR = 20;
const MINOR = 19;

/** Warns of a Node that lacks functions which these packages call. Every package for Node loads this. */
export function warnOfOldNode(version: string, warn: (text: string) => void): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > MAJOR || (major === MAJOR && minor >= MINOR)) return;
  warn(`websocket: @ws/node-io needs Node ${MAJOR}.${MINOR} or newer; this is Node ${version}`);
}
