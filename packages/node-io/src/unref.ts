/**
 * Lets the process end before a timer fires. In a renderer of Electron, `setTimeout` is that of the
 * page and returns a number: such a timer keeps no process alive.
 */
export function unref(timer: NodeJS.Timeout | undefined): void {
  (timer as Partial<NodeJS.Timeout> | undefined)?.unref?.();
}
